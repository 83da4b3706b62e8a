import { useState } from 'react';
import { type Choice, defaultChoice } from '../engine/choice';
import { type EngineState, engine } from '../engine/engine';
import { ModelCard } from './ModelCard';
import { SetupForm } from './SetupForm';

/** The card that loads the sentence encoder and shows its state. */
export function SetupCard({ state }: { state: EngineState }) {
  const [draft, setDraft] = useState<Choice>(() => (state.status === 'idle' ? defaultChoice() : state.choice));
  const chosen = state.status === 'idle' ? null : state.choice;
  const [last, setLast] = useState(chosen);

  // Two pages have this card: what was chosen on one of them is the draft on the other too.
  if (last !== chosen) {
    setLast(chosen);
    if (chosen) setDraft(chosen);
  }

  return (
    <ModelCard
      label="Model settings and state"
      state={state}
      loader={engine}
      draft={draft}
      onDraft={setDraft}
      Form={SetupForm}
    />
  );
}
