import { useState } from 'react';
import { count } from '../page/format';
import { parseExamples } from './delimited';

interface Props {
  onTake: (source: string) => void;
  onCancel: () => void;
}

/** A text field for many rows at once, of a spreadsheet or of comma-separated text. */
export function PasteBox({ onTake, onCancel }: Props) {
  const [draft, setDraft] = useState('');
  const examples = parseExamples(draft);
  return (
    <div className="route-paste">
      <label className="field">
        <span>One example a line: the request, a tab or a comma, the label</span>
        <textarea
          // biome-ignore lint/a11y/noAutofocus: the visitor asked for this field by the button above it
          autoFocus
          rows={6}
          spellCheck={false}
          placeholder={'where is my parcel, delivery\nI want my money back, refund'}
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') onCancel();
          }}
        />
      </label>
      <div className="route-buttons">
        <button type="button" className="button" disabled={examples.length === 0} onClick={() => onTake(draft)}>
          Add {count(examples.length, 'row')}
        </button>
        <button type="button" className="button" onClick={onCancel}>
          Close
        </button>
      </div>
    </div>
  );
}
