import { useState } from 'react';
import { count } from '../page/format';
import { ResultRow } from './ResultRow';
import type { Entry } from './rank';
import type { QueryVector } from './useSearch';

interface Props {
  entries: readonly Entry[];
  query: QueryVector | null;
  maxTokens: number | null;
  active: number | null;
  onActive: (id: number | null) => void;
  onPick: (text: string) => void;
  onEdit: () => void;
}

/** The number of rows that are shown at first: about as many as fit beside the map. */
const FIRST = 10;

/** The list of sentences, in its own order or, during a search, the nearest first. */
export function Results({ entries, query, maxTokens, active, onActive, onPick, onEdit }: Props) {
  const [all, setAll] = useState(false);
  const [lastQuery, setLastQuery] = useState(query?.text);
  const shown = all ? entries : entries.slice(0, FIRST);
  const best = entries[0];

  // A new search shows its best rows, not all of them.
  if (lastQuery !== query?.text) {
    setLastQuery(query?.text);
    setAll(false);
  }

  return (
    <section aria-labelledby="results-title">
      <div className="results-head">
        <h2 id="results-title">{query ? 'Nearest first' : count(entries.length, 'sentence')}</h2>
        <button type="button" className="button quiet" onClick={onEdit}>
          Edit sentences
        </button>
      </div>
      <p className="unseen" role="status">
        {query && best?.score != null ? `Nearest: ${best.text} Score ${best.score.toFixed(2)}.` : ''}
      </p>
      <ol className="results">
        {shown.map((entry) => (
          <ResultRow
            key={entry.id}
            entry={entry}
            maxTokens={maxTokens}
            active={entry.id === active}
            onActive={(on) => onActive(on ? entry.id : null)}
            onPick={() => onPick(entry.text)}
          />
        ))}
      </ol>
      {entries.length > FIRST && (
        <button type="button" className="button more" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${entries.length}`}
        </button>
      )}
    </section>
  );
}
