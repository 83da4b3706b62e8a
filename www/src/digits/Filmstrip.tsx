import type { Digits } from 'pilotlight';
import { DigitCanvas } from './DigitCanvas';

interface Props {
  digits: Digits | null;
  count: number;
  at: number;
  label: string;
  onPick: (at: number) => void;
}

/** All pictures of a morph side by side. A click goes to one; by keyboard the slider does. */
export function Filmstrip({ digits, count, at, label, onPick }: Props) {
  return (
    <div className="filmstrip" role="img" aria-label={label}>
      {Array.from({ length: count }, (_, i) => (
        <span key={i} data-active={digits !== null && i === at} onClick={() => onPick(i)}>
          <DigitCanvas data={digits?.data ?? null} index={i} scale={2} />
        </span>
      ))}
    </div>
  );
}
