import type { Digits } from 'pilotlight';
import { DigitCanvas } from './DigitCanvas';

interface Props {
  digits: Digits | null;
  count: number;
  at: number;
  label: string;
  onPick: (at: number) => void;
}

/** All digits of a morph side by side. A click goes to one of them, as the slider below the strip does by keyboard. */
export function Filmstrip({ digits, count, at, label, onPick }: Props) {
  return (
    <div className="filmstrip" role="img" aria-label={label}>
      {Array.from({ length: count }, (_, i) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the slider does the same by keyboard
        // biome-ignore lint/a11y/noStaticElementInteractions: to a screen reader the strip is one image, which the slider goes through
        // biome-ignore lint/suspicious/noArrayIndexKey: a frame is known by its position alone
        <span key={i} data-active={digits !== null && i === at} onClick={() => onPick(i)}>
          <DigitCanvas data={digits?.data ?? null} index={i} scale={2} />
        </span>
      ))}
    </div>
  );
}
