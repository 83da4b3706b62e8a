import { useId } from 'react';

interface Props {
  label: string;
  /** The effect of the setting, in a sentence. */
  words: string;
  value: number;
  /** The value as it is shown, where that is not the number itself, and as a screen reader says it. */
  text?: string;
  spoken?: string;
  min: number;
  max: number;
  step: number;
  onChange: (value: number) => void;
}

/** A setting with a slider, its value and an explanation. */
export function Slider({ label, words, value, text, spoken, min, max, step, onChange }: Props) {
  const id = useId();
  return (
    <div className="setting">
      <div className="setting-head">
        <label htmlFor={id}>{label}</label>
        <output htmlFor={id}>{text ?? value}</output>
      </div>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={spoken ?? text}
        aria-describedby={`${id}-words`}
        onChange={(event) => onChange(event.target.valueAsNumber)}
      />
      <p id={`${id}-words`}>{words}</p>
    </div>
  );
}
