import { count, timeLeft } from '../page/format';
import type { Intake } from './useIntake';

/** The progress of images on their way into the library, and the files that could not be read. */
export function IntakeView({ intake, onStop }: { intake: Intake; onStop: () => void }) {
  const { status, total, done, failures } = intake;
  if (status === 'idle') return null;
  const working = status === 'working';
  const words = intakeWords(intake);
  return (
    <div className="intake">
      <p className="unseen" role="status">
        {working ? `${Math.min(3, Math.floor((4 * done) / total)) * 25} percent of ${count(total, 'image')}` : words}
      </p>
      {(working || status === 'waiting') && (
        <div
          className="bar"
          role="progressbar"
          aria-label="Images looked at"
          aria-valuemin={0}
          aria-valuemax={total}
          aria-valuenow={done}
          aria-valuetext={`${done} of ${total}`}
        >
          <span style={{ transform: `translateX(${(done / total - 1) * 100}%)` }} />
        </div>
      )}
      <div className="intake-foot">
        <p>{working ? <WorkingWords intake={intake} /> : words}</p>
        {(working || status === 'waiting') && (
          <button type="button" className="button" onClick={onStop}>
            {working ? 'Stop' : 'Forget them'}
          </button>
        )}
      </div>
      {failures.length > 0 && (
        <details className="failures">
          <summary>{count(failures.length, 'file')} could not be read</summary>
          <ul>
            {failures.map(({ name, reason }, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: names repeat, and failures are only ever appended
              <li key={i}>
                <strong>{name}</strong> {reason}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function WorkingWords({ intake: { done, total, since } }: { intake: Intake }) {
  return (
    <>
      <strong>
        {done} of {total}
      </strong>{' '}
      <span>{timeLeft(done, total, performance.now() - since)}</span>
    </>
  );
}

function intakeWords({ status, total, done, failures, known, others }: Intake): string {
  const came = done - failures.length - known;
  const aside = [
    known > 0 && `${known} ${known === 1 ? 'was' : 'were'} in the library already`,
    others > 0 && `${count(others, 'file')} ${others === 1 ? 'is' : 'are'} no ${others === 1 ? 'image' : 'images'}`,
  ].filter(Boolean);
  const rest = aside.length > 0 ? `, ${aside.join(', ')}` : '';
  if (status === 'waiting')
    return `${count(total - done, 'image')} ${total - done === 1 ? 'waits' : 'wait'} for the model: load one above.`;
  if (status === 'stopped') return `Stopped: ${came} of ${count(total, 'image')} came in${rest}.`;
  return `${count(came, 'image')} came in${rest}.`;
}
