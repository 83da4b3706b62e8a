interface Props {
  id: string;
  /** The name of the field for screen readers; the others see a magnifying glass. */
  label: string;
  text: string;
  placeholder: string;
  ready: boolean;
  examples: readonly string[];
  onChange: (text: string) => void;
}

/** A search field with examples of searches under it. */
export function SearchField({ id, label, text, placeholder, ready, examples, onChange }: Props) {
  return (
    <>
      <label className="search-box">
        <span className="unseen">{label}</span>
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13.2 13.2 17 17" />
        </svg>
        <input
          id={id}
          type="search"
          value={text}
          placeholder={placeholder}
          disabled={!ready}
          autoComplete="off"
          onChange={(event) => onChange(event.target.value)}
        />
      </label>
      <ul className="suggestions" aria-label="Examples of searches">
        {examples.map((example) => (
          <li key={example}>
            <button
              type="button"
              disabled={!ready}
              aria-pressed={text === example}
              onClick={() => onChange(text === example ? '' : example)}
            >
              {example}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
