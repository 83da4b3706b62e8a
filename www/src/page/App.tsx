import { useEngine } from '../engine/useEngine';
import { SetupCard } from '../setup/SetupCard';
import { Workspace } from '../search/Workspace';
import { Footer } from './Footer';
import { Header } from './Header';

export function App() {
  const state = useEngine();
  return (
    <div className="page">
      <a className="skip" href="#search">
        Skip to the search
      </a>
      <Header state={state} />
      <main>
        <div className="opening">
          <div className="intro">
            <h1>Search by meaning, inside this tab</h1>
            <p>A small language model runs here, in your browser. What you type stays here too: nothing is sent anywhere.</p>
          </div>
          <SetupCard state={state} />
        </div>
        <Workspace embedder={state.status === 'ready' ? state.embedder : null} status={state.status} />
      </main>
      <Footer />
    </div>
  );
}
