import { models } from 'pilotlight';
import { useRef, useState } from 'react';
import { count, megabytes } from '../page/format';
import type { Stored } from './stored';

interface Props {
  count: number;
  usage: Stored['usage'];
  onPersist: () => void;
}

/** The panel that says how much space the models and this site take, how much the browser allows, and whether it promises to keep them. */
export function StoragePanel({ count: n, usage, onPersist }: Props) {
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
    // The button that had the focus disappears once there is nothing left to ask for.
    if (answer.persisted) note.current?.focus();
    onPersist();
  }

  return (
    <section className="card storage" aria-labelledby="storage-title">
      <h2 id="storage-title">Storage</h2>
      <p className="storage-total">
        <strong>{megabytes(modelBytes)}</strong> {n === 0 ? 'of models' : `in ${count(n, 'model')}`}
      </p>
      {originBytes === undefined || quotaBytes === undefined ? (
        <p className="storage-words">This browser does not say how much space there is.</p>
      ) : (
        <Quota modelBytes={modelBytes} originBytes={Math.max(originBytes, modelBytes)} quotaBytes={quotaBytes} />
      )}
      <div className="storage-keep">
        <h3>{persisted ? 'Kept until you delete them' : 'Kept as long as there is space'}</h3>
        <p className="storage-words">
          {persisted
            ? 'The browser keeps this site’s models even when space runs low.'
            : 'When space runs low the browser may delete them; they are fetched again then.'}
        </p>
        {!persisted && (
          <button type="button" className="button" onClick={keep}>
            Keep models when space runs low
          </button>
        )}
        <p className="storage-words" role="status" tabIndex={-1} ref={note}>
          {reason}
        </p>
      </div>
    </section>
  );
}

/** The part of the browser’s quota that this site uses, in words and as a bar of two parts. */
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
      {/* biome-ignore lint/a11y/useSemanticElements: a <meter> has one part, and this bar has two */}
      <div
        className="storage-bar"
        role="meter"
        aria-label="Space that this site uses"
        aria-valuemin={0}
        aria-valuemax={quotaBytes}
        aria-valuenow={Math.min(originBytes, quotaBytes)}
        aria-valuetext={words}
      >
        {modelBytes > 0 && <span style={width(modelBytes)} />}
        {rest > 0 && <span data-rest="true" style={width(rest)} />}
      </div>
      <p className="storage-words">{words}</p>
      <ul className="storage-legend">
        <li>Models {megabytes(modelBytes)}</li>
        {rest > 0 && <li data-rest="true">The page and its images {megabytes(rest)}</li>}
      </ul>
    </>
  );
}
