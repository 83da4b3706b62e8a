import type { FormEvent } from 'react';
import type { Choice } from '../engine/choice';
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

/** The formats of weights that a device can run: WebGPU takes no 8-bit weights. */
function dtypesFor(device: Choice['device']) {
  return DTYPES.map((option) => ({ ...option, disabled: device === 'webgpu' && option.value === 'q8' }));
}

/** The form of the sentence encoder: the model, its host, the device and the weights. */
export function SetupForm({ draft, onChange, onLoad, onCancel }: FormProps) {
  const plan = usePlan(draft);

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    onLoad();
  }

  function chooseDevice(device: Choice['device']) {
    onChange({ ...draft, device, dtype: device === 'webgpu' && draft.dtype === 'q8' ? 'auto' : draft.dtype });
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
      <Segments label="Device" options={DEVICES} value={draft.device} onChange={chooseDevice} />
      <Segments
        label="Weights"
        options={dtypesFor(draft.device)}
        value={draft.dtype}
        onChange={(dtype) => onChange({ ...draft, dtype })}
      />
      <PlanView plan={plan} />
      <SetupActions onCancel={onCancel} />
    </form>
  );
}
