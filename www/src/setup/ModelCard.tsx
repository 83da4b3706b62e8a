import type { ImageTextEmbedder, TextEmbedder } from 'pilotlight';
import { type ComponentType, useState } from 'react';
import type { Choice } from '../engine/choice';
import type { LoaderState } from '../engine/loader';
import type { Remedy } from '../engine/problem';
import { LoadProgressView } from './LoadProgressView';
import { ProblemView } from './ProblemView';
import { announcement } from './progress-words';
import { ReadyView } from './ReadyView';
import { useCardFocus } from './useCardFocus';

/** The props of a model's form. `onCancel` is given only where a model is loaded already. */
export interface FormProps {
  draft: Choice;
  onChange: (choice: Choice) => void;
  onLoad: () => void;
  onCancel?: () => void;
}

interface Props<E> {
  label: string;
  state: LoaderState<E>;
  loader: { load: (choice: Choice, keep?: boolean) => Promise<void>; cancel: () => void; reset: () => void };
  draft: Choice;
  onDraft: (choice: Choice) => void;
  Form: ComponentType<FormProps>;
}

/** The card beside the headline, which shows the form, the progress of the load, the loaded model or the problem. */
export function ModelCard<E extends TextEmbedder | ImageTextEmbedder>({
  label,
  state,
  loader,
  draft,
  onDraft,
  Form,
}: Props<E>) {
  const [changing, setChanging] = useState(false);
  const card = useCardFocus<HTMLElement>(state.status);

  function load(choice: Choice, keep = true) {
    onDraft(choice);
    setChanging(false);
    card.current?.focus({ preventScroll: true });
    void loader.load(choice, keep);
  }

  function keepCurrent(choice: Choice) {
    onDraft(choice);
    setChanging(false);
  }

  function remedy(kind: Remedy) {
    if (kind === 'retry') load(draft);
    if (kind === 'without-store') load(draft, false);
    if (kind === 'on-cpu') load({ ...draft, device: 'cpu' });
    if (kind === 'settings') loader.reset();
    if (kind === 'reload') location.reload();
  }

  return (
    <section className="card setup" ref={card} tabIndex={-1} aria-label={label}>
      <p className="unseen" role="status">
        {announcement(state)}
      </p>
      {state.status === 'idle' && <Form draft={draft} onChange={onDraft} onLoad={() => load(draft)} />}
      {state.status === 'loading' && <LoadProgressView state={state} onCancel={loader.cancel} />}
      {state.status === 'failed' && <ProblemView problem={state.problem} onRemedy={remedy} />}
      {state.status === 'ready' && !changing && <ReadyView state={state} onChange={() => setChanging(true)} />}
      {state.status === 'ready' && changing && (
        <Form draft={draft} onChange={onDraft} onLoad={() => load(draft)} onCancel={() => keepCurrent(state.choice)} />
      )}
    </section>
  );
}
