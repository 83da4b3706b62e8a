import type { PageProps } from '../page/page-props';
import { SetupCard } from '../setup/SetupCard';
import { Workspace } from './Workspace';

/** The first page: sentences are searched by meaning and shown on a map. */
export function SearchPage({ state }: PageProps) {
  return (
    <>
      <div className="opening">
        <div className="intro">
          <h1 tabIndex={-1}>Search by meaning, inside this tab</h1>
          <p>
            A small language model runs here, in your browser. What you type stays here too: nothing is sent anywhere.
          </p>
        </div>
        <SetupCard state={state} />
      </div>
      <Workspace embedder={state.status === 'ready' ? state.embedder : null} status={state.status} />
    </>
  );
}
