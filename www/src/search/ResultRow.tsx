import { count } from '../page/format';
import type { Entry } from './rank';

interface Props {
  entry: Entry;
  maxTokens: number | null;
  active: boolean;
  onActive: (on: boolean) => void;
  onPick: () => void;
}

/** A sentence of the list, with its token count and, during a search, its score. A click searches with it. */
export function ResultRow({ entry, maxTokens, active, onActive, onPick }: Props) {
  const { text, embedded, score } = entry;
  return (
    <li
      className="result"
      data-active={active}
      onPointerEnter={() => onActive(true)}
      onPointerLeave={() => onActive(false)}
    >
      <button
        type="button"
        onClick={onPick}
        onFocus={() => onActive(true)}
        onBlur={() => onActive(false)}
        disabled={!embedded}
        title="Search with this sentence"
      >
        <span className="result-text">{text}</span>
        <span className="result-tokens">
          {embedded ? count(embedded.tokens, 'token') : '\u00a0'}
          {embedded?.truncated && <em> · cut at {maxTokens}</em>}
        </span>
        {score !== null && (
          <span className="result-score">
            <span className="unseen">score </span>
            {score.toFixed(2)}
          </span>
        )}
        {score !== null && (
          <span className="result-bar" aria-hidden="true">
            <span style={{ transform: `translateX(${(Math.max(0, Math.min(1, score)) - 1) * 100}%)` }} />
          </span>
        )}
      </button>
    </li>
  );
}
