import { WEIGHTS } from '../engine/backend-words';
import { hostName } from '../engine/choice';
import { megabytes, milliseconds } from '../page/format';
import { href } from '../page/routes';
import type { DetectorState } from './detector';

/** The loaded detector: from where it came, on what it runs, and which head it has. */
export function DetectorReady({ state }: { state: Extract<DetectorState, { status: 'ready' }> }) {
  const { embedder, choice, seconds, bytes, fromStore, resumedAt } = state;
  const { detector, backend } = embedder;
  const origin = fromStore ? 'from this browser’s store' : `from ${hostName(choice.host)}`;
  return (
    <div className="ready">
      <h2>The detector is ready</h2>
      <p className="ready-reason">
        It runs on the {backend.device === 'cpu' ? 'CPU' : 'GPU'} with {WEIGHTS[backend.dtype]}. Texts stay on this
        device.
      </p>
      {detector.notes.map((note) => (
        <p key={note} className="ready-reason notice">
          {note}
        </p>
      ))}
      <dl className="facts">
        <div>
          <dt>Loaded</dt>
          <dd>
            {bytes > 0 && `${megabytes(bytes)} `}
            {origin} in {milliseconds(seconds * 1000)}
            {resumedAt > 0 && `, of which about ${Math.floor(resumedAt / 1e6)} MB were here`}
          </dd>
        </div>
        <div>
          <dt>Head</dt>
          <dd>{detector.version}</dd>
        </div>
        <div>
          <dt>On this device</dt>
          <dd>
            <a href={href('/models')}>Stored models</a>
          </dd>
        </div>
      </dl>
    </div>
  );
}
