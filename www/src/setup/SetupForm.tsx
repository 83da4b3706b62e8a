import type { FormEvent } from 'react';
import type { FormProps } from './ModelCard';
import { PlanView } from './PlanView';
import { Segments } from './Segments';
import { SetupActions } from './SetupActions';
import { usePlan } from './usePlan';

const DEVICES = [
  { value: 'auto', label: 'Auto' },
  { value: 'cpu', label: 'CPU' },
  { value: 'webgpu', label: 'WebGPU' },
] as const;

const DTYPES = [
  { value: 'auto', label: 'Auto' },
  { value: 'q8', label: '8-bit' },
  { value: 'f32', label: '32-bit' },
] as const;

/** The form of the sentence encoder: the model, its host, the device and the weights. */
export function SetupForm({ draft, onChange, onLoad, onCancel }: FormProps) {
  const plan = usePlan(draft);

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    onLoad();
  }

  return (
    <form className="setup-form" onSubmit={onSubmit}>
      <label className="field">
        <span>Model</span>
        <input
          type="text"
          required
          spellCheck={false}
          autoCapitalize="off"
          value={draft.model}
          onChange={(event) => onChange({ ...draft, model: event.target.value })}
        />
      </label>
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
        />
      </label>
      <Segments
        label="Device"
        options={DEVICES}
        value={draft.device}
        onChange={(device) => onChange({ ...draft, device })}
      />
      <Segments
        label="Weights"
        options={DTYPES}
        value={draft.dtype}
        onChange={(dtype) => onChange({ ...draft, dtype })}
      />
      <PlanView plan={plan} />
      <SetupActions onCancel={onCancel} />
    </form>
  );
}
