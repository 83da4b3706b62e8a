import { useState } from 'react';
import { count } from '../page/format';
import { exampleSentences } from './examples';

interface Props {
  texts: readonly string[];
  onSave: (texts: readonly string[]) => void;
  onCancel: () => void;
}

/** A text field with one sentence a line, to edit or to paste into. */
export function SentenceEditor({ texts, onSave, onCancel }: Props) {
  const [draft, setDraft] = useState(() => texts.join('\n'));
  const lines = [...new Set(draft.split(/\r?\n/).map((line) => line.trim()))].filter(Boolean);

  return (
    <section className="editor" aria-labelledby="editor-title">
      <div className="results-head">
        <h2 id="editor-title">One sentence a line</h2>
        <span role="status">{count(lines.length, 'sentence')}</span>
      </div>
      <textarea
        aria-labelledby="editor-title"
        // biome-ignore lint/a11y/noAutofocus: the visitor asked for this field by the button that it replaces
        autoFocus
        spellCheck={false}
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onCancel();
        }}
      />
      <div className="editor-actions">
        <button type="button" className="button primary" disabled={lines.length === 0} onClick={() => onSave(lines)}>
          Use these
        </button>
        <button type="button" className="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="button" className="button quiet" onClick={() => setDraft(exampleSentences.join('\n'))}>
          Bring back the examples
        </button>
      </div>
    </section>
  );
}
