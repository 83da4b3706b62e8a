import type { FormEvent } from 'react';
import { defaultHost } from '../engine/choice';
import type { FormProps } from '../setup/ModelCard';
import { PlanView } from '../setup/PlanView';
import { Segments } from '../setup/Segments';
import { SetupActions } from '../setup/SetupActions';
import { usePlan } from '../setup/usePlan';
import { choiceOf, imageModels, modelOf } from './image-models';

const MODELS = imageModels.map(({ id, label }) => ({ value: id, label }));

/** The form of the model for images, which says what a load takes before anything is fetched. */
export function ClipForm({ draft, onChange, onLoad, onCancel }: FormProps) {
  const plan = usePlan(draft);
  const { id, words } = modelOf(draft);

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    onLoad();
  }

  return (
    <form className="setup-form" onSubmit={onSubmit}>
      <Segments label="Model" options={MODELS} value={id} onChange={(next) => onChange(choiceOf(next))} />
      <label className="field">
        <span>Model host</span>
        <input
          type="text"
          required
          disabled={id === 'tiny'}
          spellCheck={false}
          autoCapitalize="off"
          inputMode="url"
          value={id === 'tiny' ? 'this page' : draft.host}
          onChange={(event) => onChange({ ...draft, host: event.target.value })}
          onBlur={() => draft.host.trim() === '' && onChange({ ...draft, host: defaultHost() })}
        />
      </label>
      <p className="clip-words">{words}</p>
      <PlanView plan={plan} />
      <SetupActions onCancel={onCancel} />
    </form>
  );
}
