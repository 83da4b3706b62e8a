import type { DetectionRecord } from 'pilotlight';
import { ago, count } from '../page/format';
import { signed, VERDICTS } from './detect-words';

const EXCERPT = 90;

/** A kept verdict, with the button that deletes it. */
export function HistoryRow({ record, onDelete }: { record: DetectionRecord; onDelete: () => void }) {
  const { digest, length, score, verdict, head, time, text } = record;
  const when = ago(time);
  return (
    <li>
      <div>
        <p>
          <strong>{VERDICTS[verdict].title}</strong> <time dateTime={new Date(time).toISOString()}>{when}</time>
        </p>
        {text !== undefined && (
          <p className="detect-excerpt">
            “{text.slice(0, EXCERPT)}
            {text.length > EXCERPT && '…'}”
          </p>
        )}
        <p className="detect-fine">
          {score === undefined ? 'no score' : `score ${signed(score)}`}, {count(length, 'character')}, SHA-256{' '}
          <code>{digest.slice(0, 8)}</code>, head {head}
        </p>
      </div>
      <button
        type="button"
        className="icon-button"
        aria-label={`Delete “${VERDICTS[verdict].title}”, ${when}`}
        onClick={onDelete}
      >
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M5 5l10 10M15 5 5 15" />
        </svg>
      </button>
    </li>
  );
}
