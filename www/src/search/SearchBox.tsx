import type { EngineState } from '../engine/engine';
import { exampleQueries } from '../sentences/examples';

interface Props {
  text: string;
  status: EngineState['status'];
  onChange: (text: string) => void;
}

const PLACEHOLDERS: Record<EngineState['status'], string> = {
  idle: 'Load the model to search',
  loading: 'One moment: the model is on its way',
  ready: 'Say what you are looking for',
  failed: 'Search needs a model',
};

export function SearchBox({ text, status, onChange }: Props) {
  const ready = status === 'ready';
  return (
    <div className="search" role="search">
      <label className="search-box">
        <span className="unseen">Search the sentences by meaning</span>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13.2 13.2 17 17" />
        </svg>
        <input
          id="search"
          type="search"
          value={text}
          placeholder={PLACEHOLDERS[status]}
          disabled={!ready}
          autoComplete="off"
          onChange={(event) => onChange(event.target.value)}
        />
      </label>
      <ul className="suggestions" aria-label="Examples of searches">
        {exampleQueries.map((query) => (
          <li key={query}>
            <button type="button" disabled={!ready} aria-pressed={text === query} onClick={() => onChange(text === query ? '' : query)}>
              {query}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
