import { models } from 'pilotlight';
import { useRef, useState } from 'react';
import { count, megabytes } from '../page/format';
import type { Stored } from './stored';

interface Props {
  count: number;
  usage: Stored['usage'];
  onPersist: () => void;
}

/** What everything takes, what the browser allows, and whether it promises to keep it. */
export function Room({ count: n, usage, onPersist }: Props) {
  const { modelBytes, originBytes, quotaBytes, persisted } = usage;
  const [reason, setReason] = useState('');
  const note = useRef<HTMLParagraphElement>(null);

  async function keep() {
    let answer: { persisted: boolean; reason: string };
    try {
      answer = await models.persist();
    } catch (error) {
      answer = { persisted: false, reason: error instanceof Error ? error.message : String(error) };
    }
    setReason(answer.reason);
    // The button goes once there is nothing left to ask for.
    if (answer.persisted) note.current?.focus();
    onPersist();
  }

  return (
    <section className="card room" aria-labelledby="room-title">
      <h2 id="room-title">Room</h2>
      <p className="room-total">
        <strong>{megabytes(modelBytes)}</strong> {n === 0 ? 'of models' : `in ${count(n, 'model')}`}
      </p>
      {originBytes === null || quotaBytes === null ? (
        <p className="room-words">This browser does not say how much room there is.</p>
      ) : (
        <Quota modelBytes={modelBytes} originBytes={Math.max(originBytes, modelBytes)} quotaBytes={quotaBytes} />
      )}
      <div className="room-keep">
        <h3>{persisted ? 'Kept until you delete them' : 'Kept as long as there is room'}</h3>
        <p className="room-words">
          {persisted
            ? 'The browser keeps this site’s models even when room gets scarce.'
            : 'When room gets scarce the browser may delete them; they are fetched again then.'}
        </p>
        {!persisted && (
          <button type="button" className="button" onClick={keep}>
            Keep models when room gets scarce
          </button>
        )}
        <p className="room-words" role="status" tabIndex={-1} ref={note}>
          {reason}
        </p>
      </div>
    </section>
  );
}

function Quota({
  modelBytes,
  originBytes,
  quotaBytes,
}: {
  modelBytes: number;
  originBytes: number;
  quotaBytes: number;
}) {
  const rest = originBytes - modelBytes;
  const words = `This site uses ${megabytes(originBytes)} of the ${megabytes(quotaBytes)} that the browser allows it.`;
  const width = (bytes: number) => ({ width: `${Math.min(100, (bytes / Math.max(1, quotaBytes)) * 100)}%` });
  return (
    <>
      <div
        className="room-bar"
        role="meter"
        aria-label="Room that this site uses"
        aria-valuemin={0}
        aria-valuemax={quotaBytes}
        aria-valuenow={Math.min(originBytes, quotaBytes)}
        aria-valuetext={words}
      >
        {modelBytes > 0 && <span style={width(modelBytes)} />}
        {rest > 0 && <span data-rest="true" style={width(rest)} />}
      </div>
      <p className="room-words">{words}</p>
      <ul className="room-legend">
        <li>Models {megabytes(modelBytes)}</li>
        {rest > 0 && <li data-rest="true">The page and its pictures {megabytes(rest)}</li>}
      </ul>
    </>
  );
}
