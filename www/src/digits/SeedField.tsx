import { useId, useState } from 'react';

interface Props {
  seed: number;
  onChange: (seed: number) => void;
}

/** The limit of the seeds that the button picks: they are short, so that people can pass them on. */
const HANDS = 10_000;

/** The field for the seed, with a button that picks another one by chance. */
export function SeedField({ seed, onChange }: Props) {
  const [draft, setDraft] = useState(String(seed));
  const id = useId();
  const valid = /^\d{1,15}$/.test(draft);

  function take(next: string) {
    setDraft(next);
    if (/^\d{1,15}$/.test(next)) onChange(Number(next));
  }

  /** Picks any seed but the present one. */
  function another() {
    take(String((seed + 1 + Math.floor(Math.random() * (HANDS - 1))) % HANDS));
  }

  return (
    <div className="setting">
      <div className="setting-head">
        <label htmlFor={id}>Seed</label>
      </div>
      <div className="seed">
        <input
          id={id}
          type="number"
          min={0}
          step={1}
          inputMode="numeric"
          value={draft}
          aria-describedby={`${id}-words`}
          aria-invalid={!valid}
          onChange={(event) => take(event.target.value)}
          onBlur={() => setDraft(String(seed))}
        />
        <button type="button" className="button" onClick={another}>
          Another hand
        </button>
      </div>
      <p id={`${id}-words`} role="status" data-refused={!valid}>
        {valid
          ? 'Which noise it begins with: each seed has a hand of its own, and always the same one.'
          : 'A seed is a whole number, 0 or more, of up to 15 digits.'}
      </p>
    </div>
  );
}
