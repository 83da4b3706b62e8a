import { ALL_DIGITS } from './digit-words';

interface Props {
  label: string;
  value: number;
  onChange: (digit: number) => void;
}

/** A choice of one of the ten digits. */
export function DigitChoice({ label, value, onChange }: Props) {
  return (
    <label className="digit-choice">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(Number(event.target.value))}>
        {ALL_DIGITS.map((digit) => (
          <option key={digit}>{digit}</option>
        ))}
      </select>
    </label>
  );
}
