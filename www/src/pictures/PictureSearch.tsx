import type { PictureModel } from './picture-models';
import type { Wanted } from './usePictureSearch';

interface Props {
  model: PictureModel;
  ready: boolean;
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
}

export function PictureSearch({ model, ready, wanted, onChange }: Props) {
  const text = 'text' in wanted ? wanted.text : '';
  const like = 'like' in wanted ? wanted.like : null;
  return (
    <div className="search" role="search">
      <label className="search-box">
        <span className="unseen">Search the pictures in words</span>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13.2 13.2 17 17" />
        </svg>
        <input
          id="pictures-search"
          type="search"
          value={text}
          placeholder={ready ? 'Say what is to be seen' : 'Load the model to search'}
          disabled={!ready}
          autoComplete="off"
          onChange={(event) => onChange({ text: event.target.value })}
        />
      </label>
      <ul className="suggestions" aria-label="Examples of searches">
        {model.suggestions.map((query) => (
          <li key={query}>
            <button type="button" disabled={!ready} aria-pressed={text === query} onClick={() => onChange({ text: text === query ? '' : query })}>
              {query}
            </button>
          </li>
        ))}
      </ul>
      {like && (
        <p className="like">
          <img src={like.url} alt="" width={48} height={48} />
          <span>
            Like <strong>{like.name}</strong>
          </span>
          <button type="button" className="button quiet" onClick={() => onChange({ text: '' })}>
            Show all
          </button>
        </p>
      )}
    </div>
  );
}
