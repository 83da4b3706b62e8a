import { useEffect, useRef, useState } from 'react';
import { defaultChoice, type Choice } from '../engine/choice';
import { engine, type EngineState } from '../engine/engine';
import type { Remedy } from '../engine/problem';
import { LoadProgressView } from './LoadProgressView';
import { announcement } from './progress-words';
import { ProblemView } from './ProblemView';
import { ReadyView } from './ReadyView';
import { SetupForm } from './SetupForm';

/** The card beside the headline: the form, the progress, the model's state or the problem. */
export function SetupCard({ state }: { state: EngineState }) {
  const [draft, setDraft] = useState<Choice>(() => (state.status === 'idle' ? defaultChoice() : state.choice));
  const [changing, setChanging] = useState(false);
  const card = useRef<HTMLElement>(null);
  const before = useRef(state.status);

  // What had the focus is gone with its view: keep a keyboard user in the card.
  useEffect(() => {
    if (before.current !== state.status && document.activeElement === document.body && before.current !== 'idle') card.current?.focus({ preventScroll: true });
    before.current = state.status;
  }, [state.status]);

  function load(choice: Choice, keep = true) {
    setDraft(choice);
    setChanging(false);
    card.current?.focus({ preventScroll: true });
    void engine.load(choice, keep);
  }

  function remedy(kind: Remedy) {
    if (kind === 'retry') load(draft);
    if (kind === 'without-store') load(draft, false);
    if (kind === 'on-cpu') load({ ...draft, device: 'cpu' });
    if (kind === 'settings') engine.reset();
    if (kind === 'reload') location.reload();
  }

  return (
    <section className="card setup" ref={card} tabIndex={-1} aria-label="Model settings and state">
      <p className="unseen" role="status">
        {announcement(state)}
      </p>
      {state.status === 'idle' && <SetupForm draft={draft} onChange={setDraft} onLoad={() => load(draft)} />}
      {state.status === 'loading' && <LoadProgressView state={state} onCancel={engine.cancel} />}
      {state.status === 'failed' && <ProblemView problem={state.problem} onRemedy={remedy} />}
      {state.status === 'ready' && !changing && <ReadyView state={state} onChange={() => setChanging(true)} />}
      {state.status === 'ready' && changing && <SetupForm draft={draft} onChange={setDraft} onLoad={() => load(draft)} onCancel={() => setChanging(false)} />}
    </section>
  );
}
