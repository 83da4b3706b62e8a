import type { ImageTextEmbedder, TextEmbedder } from 'pilotlight';
import { backendWords, fellBack } from '../engine/backend-words';
import { hostName } from '../engine/choice';
import type { LoaderState } from '../engine/loader';
import { useBackend } from '../engine/useBackend';
import { megabytes, milliseconds } from '../page/format';

interface Props {
  state: Extract<LoaderState<TextEmbedder | ImageTextEmbedder>, { status: 'ready' }>;
  onChange: () => void;
}

/** The loaded model: on what it runs, how long it took to load, and its limits. */
export function ReadyView({ state, onChange }: Props) {
  const { embedder, choice, seconds, bytes, fromStore, resumedAt } = state;
  const backend = useBackend(embedder);
  const size = bytes > 0 ? `${megabytes(bytes)} ` : '';
  const origin = fromStore ? 'from this browser’s store' : `from ${hostName(choice.host)}`;

  return (
    <div className="ready">
      <div className="ready-head">
        <h2>{choice.model.split('/').pop()} is ready</h2>
        <button type="button" className="button quiet" onClick={onChange}>
          Change
        </button>
      </div>
      <p className="ready-backend">{backendWords(backend)}</p>
      <p className={fellBack(choice, backend) ? 'ready-reason notice' : 'ready-reason'}>{backend.reason}</p>
      <dl className="facts">
        <div>
          <dt>Loaded</dt>
          <dd>
            {size}
            {origin} in {milliseconds(seconds * 1000)}
            {resumedAt > 0 && `, of which about ${Math.floor(resumedAt / 1e6)} MB were here`}
          </dd>
        </div>
        <div>
          <dt>Vectors</dt>
          <dd>{embedder.dimensions} values</dd>
        </div>
        <div>
          <dt>Longest text</dt>
          <dd>{embedder.maxTokens} tokens</dd>
        </div>
      </dl>
    </div>
  );
}
