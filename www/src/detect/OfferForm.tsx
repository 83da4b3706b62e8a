import type { FormEvent } from 'react';
import { type Choice, defaultDetectorHost, hostName } from '../engine/choice';
import { ABOUT_MB, MODEL } from './detector';

interface Props {
  draft: Choice;
  onChange: (choice: Choice) => void;
  onLook: () => void;
}

/** The form for the detector's model and its host, before the first request. */
export function OfferForm({ draft, onChange, onLook }: Props) {
  function onSubmit(event: FormEvent) {
    event.preventDefault();
    onLook();
  }

  return (
    <form className="detect-offer" onSubmit={onSubmit}>
      <h2>It needs a language model</h2>
      <p>
        <strong>{MODEL.split('/').pop()?.replace('-GGUF', '')}</strong> reads the text here in the tab: about {ABOUT_MB}{' '}
        MB, fetched once as <code>{MODEL}</code> from {hostName(draft.host)}. Nothing was fetched yet.
      </p>
      <label className="field">
        <span>Model host</span>
        <input
          type="text"
          required
          spellCheck={false}
          autoCapitalize="off"
          inputMode="url"
          value={draft.host}
          onChange={(event) => onChange({ ...draft, host: event.target.value })}
          onBlur={() => draft.host.trim() === '' && onChange({ ...draft, host: defaultDetectorHost() })}
        />
      </label>
      <div className="setup-actions">
        <button type="submit" className="button primary">
          See what it takes
        </button>
        <p>This asks the host, and reads the start of the file. The rest comes when you say so.</p>
      </div>
    </form>
  );
}
