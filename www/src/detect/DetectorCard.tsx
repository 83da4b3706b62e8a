import { useState, useSyncExternalStore } from 'react';
import type { Choice } from '../engine/choice';
import type { Remedy } from '../engine/problem';
import { LoadProgressView } from '../setup/LoadProgressView';
import { ProblemView } from '../setup/ProblemView';
import { announcement } from '../setup/progress-words';
import { useCardFocus } from '../setup/useCardFocus';
import { ConsentView } from './ConsentView';
import { consent } from './consent';
import { DetectorReady } from './DetectorReady';
import { type DetectorState, detectorChoice, loader } from './detector';
import { OfferForm } from './OfferForm';

/** The card of the detector's model: what it is, what it would take, the question whether to fetch it, its progress and its state. */
export function DetectorCard({ state }: { state: DetectorState }) {
  const question = useSyncExternalStore(consent.subscribe, consent.question);
  const [draft, setDraft] = useState(() => (state.status === 'idle' ? detectorChoice() : state.choice));
  const asking = state.status === 'loading' ? question : null;
  const card = useCardFocus<HTMLElement>(asking ? 'asking' : state.status);

  function load(choice: Choice, keep = true) {
    setDraft(choice);
    card.current?.focus({ preventScroll: true });
    void loader.load(choice, keep);
  }

  function refuse() {
    card.current?.focus({ preventScroll: true });
    // The load that is cancelled then must not be reported as a failure.
    loader.reset();
    question?.answer(false);
  }

  function remedy(kind: Remedy) {
    if (kind === 'retry' || kind === 'on-cpu') load(draft);
    if (kind === 'without-store') load(draft, false);
    if (kind === 'settings') loader.reset();
    if (kind === 'reload') location.reload();
  }

  return (
    <section className="card setup detect-card" ref={card} tabIndex={-1} aria-label="Model of the detector">
      <p className="unseen" role="status">
        {asking ? 'It is known what the model takes. Shall it be fetched?' : announcement(state)}
      </p>
      {state.status === 'idle' && <OfferForm draft={draft} onChange={setDraft} onLook={() => load(draft)} />}
      {asking && <ConsentView question={asking} host={draft.host} onRefuse={refuse} />}
      {state.status === 'loading' && !asking && <LoadProgressView state={state} onCancel={loader.cancel} />}
      {state.status === 'failed' && <ProblemView problem={state.problem} onRemedy={remedy} />}
      {state.status === 'ready' && <DetectorReady state={state} />}
    </section>
  );
}
