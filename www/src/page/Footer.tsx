import { diagnose } from 'pilotlight';
import { useState } from 'react';

type Copy = { state: 'idle' | 'copied' } | { state: 'shown'; text: string };

/** The foot of the page, with the button that copies the diagnostics. */
export function Footer() {
  const [copy, setCopy] = useState<Copy>({ state: 'idle' });

  async function onCopy() {
    let text: string;
    try {
      text = JSON.stringify(await diagnose(), null, 2);
    } catch (error) {
      text = JSON.stringify({ diagnose: String(error), userAgent: navigator.userAgent }, null, 2);
    }
    try {
      await navigator.clipboard.writeText(text);
      setCopy({ state: 'copied' });
    } catch {
      setCopy({ state: 'shown', text });
    }
  }

  return (
    <footer className="footer">
      <p>Something odd? The diagnostics say what this browser can do. They name no text of yours.</p>
      <div className="footer-copy">
        <span role="status">{copy.state === 'copied' ? 'Copied as JSON.' : ''}</span>
        <button type="button" className="button" onClick={onCopy}>
          Copy diagnostics
        </button>
      </div>
      {copy.state === 'shown' && (
        <textarea
          className="diagnostics"
          aria-label="Diagnostics as JSON"
          readOnly
          rows={10}
          value={copy.text}
          onFocus={(event) => event.target.select()}
        />
      )}
    </footer>
  );
}
