import { useEffect, useRef, useState } from 'react';
import type { Choice } from '../engine/choice';
import type { Remedy } from '../engine/problem';
import { LoadProgressView } from '../setup/LoadProgressView';
import { announcement } from '../setup/progress-words';
import { ProblemView } from '../setup/ProblemView';
import { ReadyView } from '../setup/ReadyView';
import { clip, type ClipState } from './clip';
import { ClipForm } from './ClipForm';

interface Props {
  state: ClipState;
  draft: Choice;
  onDraft: (choice: Choice) => void;
}

/** The card beside the headline: which model sees the pictures, and how it stands with it. */
export function ClipCard({ state, draft, onDraft }: Props) {
  const [changing, setChanging] = useState(false);
  const card = useRef<HTMLElement>(null);
  const before = useRef(state.status);

  // What had the focus is gone with its view: keep a keyboard user in the card.
  useEffect(() => {
    if (before.current !== state.status && document.activeElement === document.body && before.current !== 'idle') card.current?.focus({ preventScroll: true });
    before.current = state.status;
  }, [state.status]);

  function load(choice: Choice, keep = true) {
    onDraft(choice);
    setChanging(false);
    card.current?.focus({ preventScroll: true });
    void clip.load(choice, keep);
  }

  function remedy(kind: Remedy) {
    if (kind === 'retry') load(draft);
    if (kind === 'without-store') load(draft, false);
    if (kind === 'on-cpu') load({ ...draft, device: 'cpu' });
    if (kind === 'settings') clip.reset();
    if (kind === 'reload') location.reload();
  }

  return (
    <section className="card setup" ref={card} tabIndex={-1} aria-label="Model for pictures">
      <p className="unseen" role="status">
        {announcement(state)}
      </p>
      {state.status === 'idle' && <ClipForm draft={draft} onChange={onDraft} onLoad={() => load(draft)} />}
      {state.status === 'loading' && <LoadProgressView state={state} onCancel={clip.cancel} />}
      {state.status === 'failed' && <ProblemView problem={state.problem} onRemedy={remedy} />}
      {state.status === 'ready' && !changing && <ReadyView state={state} onChange={() => setChanging(true)} />}
      {state.status === 'ready' && changing && <ClipForm draft={draft} onChange={onDraft} onLoad={() => load(draft)} onCancel={() => (onDraft(state.choice), setChanging(false))} />}
    </section>
  );
}
