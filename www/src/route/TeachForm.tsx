import { type FormEvent, useId, useState } from 'react';
import type { Example } from './delimited';

interface Props {
  /** The request whose answer is shown; null where none is, or nothing can be taught. */
  request: string | null;
  labels: readonly string[];
  onTeach: (example: Example) => void;
}

/** A form for the right label of a request, which the classifier learns as one more example. */
export function TeachForm({ request, labels, onTeach }: Props) {
  const [label, setLabel] = useState('');
  const id = useId();
  const wanted = label.trim();

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    if (!request || !wanted) return;
    onTeach({ text: request, label: wanted });
    setLabel('');
  }

  return (
    <form className="route-teach" onSubmit={onSubmit}>
      <label htmlFor={`${id}-label`}>Wrong? This is</label>
      <input
        id={`${id}-label`}
        type="text"
        list={`${id}-labels`}
        placeholder="a label, old or new"
        autoComplete="off"
        autoCapitalize="off"
        disabled={!request}
        value={label}
        onChange={(event) => setLabel(event.target.value)}
      />
      <datalist id={`${id}-labels`}>
        {labels.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
      <button type="submit" className="button" disabled={!request || !wanted}>
        Teach it
      </button>
    </form>
  );
}
