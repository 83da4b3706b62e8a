import { useEffect, useRef, useState } from 'react';
import { DeleteAllButton } from './DeleteAllButton';
import { HistoryRow } from './HistoryRow';
import type { useHistory } from './useHistory';

/** The number of records that are shown at first. */
const FIRST = 8;

/** The verdicts that are kept on this device, and whether they are kept. */
export function HistoryPanel({ history }: { history: ReturnType<typeof useHistory> }) {
  const { keeping, keep, records, problem } = history;
  const [all, setAll] = useState(false);
  const [said, setSaid] = useState('');
  const title = useRef<HTMLHeadingElement>(null);
  const list = useRef<HTMLOListElement>(null);
  /** The record that is being deleted, and its place. */
  const removed = useRef<{ id: string; place: number } | null>(null);

  // The row that was deleted had the focus: the next one takes it, or what is left.
  useEffect(() => {
    if (!removed.current) return;
    const { id, place } = removed.current;
    // Records also change while one is being deleted.
    if (records.some((one) => one.id === id)) return;
    removed.current = null;
    const rows = [...(list.current?.querySelectorAll('button') ?? [])];
    (rows.at(Math.min(place, rows.length - 1)) ?? title.current)?.focus();
  }, [records]);

  async function remove(id: string) {
    removed.current = { id, place: records.findIndex((one) => one.id === id) };
    await history.remove(id);
    setSaid('One verdict was deleted.');
  }

  async function clear() {
    title.current?.focus();
    await history.clear();
    setSaid('All verdicts were deleted.');
  }

  return (
    <section className="card detect-panel" aria-labelledby="detect-history-title">
      <div>
        <h2 id="detect-history-title" tabIndex={-1} ref={title}>
          History
        </h2>
        <p className="detect-words">
          Nothing is kept unless you ask. A kept verdict has the time, the score, the length and a digest of the text.
        </p>
      </div>
      <div className="detect-checks">
        <label>
          <input
            type="checkbox"
            checked={keeping.verdicts}
            onChange={({ target }) => keep({ ...keeping, verdicts: target.checked })}
          />
          Keep my verdicts in this browser
        </label>
        <label>
          <input
            type="checkbox"
            checked={keeping.verdicts && keeping.texts}
            disabled={!keeping.verdicts}
            onChange={({ target }) => keep({ ...keeping, texts: target.checked })}
          />
          With the texts
        </label>
      </div>
      {records.length > 0 && (
        <ol className="detect-history" ref={list} aria-label="Kept verdicts">
          {(all ? records : records.slice(0, FIRST)).map((record) => (
            <HistoryRow key={record.id} record={record} onDelete={() => void remove(record.id)} />
          ))}
        </ol>
      )}
      {records.length > FIRST && (
        <button type="button" className="button more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${records.length}`}
        </button>
      )}
      <p className="detect-words" role="status">
        {problem ?? [said, records.length === 0 && 'No verdict is kept.'].filter(Boolean).join(' ')}
      </p>
      {records.length > 0 && (
        <div className="detect-foot">
          <button type="button" className="button" onClick={() => void history.save()}>
            Export as a file
          </button>
          <DeleteAllButton verdicts={records.length} onDelete={() => void clear()} />
        </div>
      )}
    </section>
  );
}
