import type { Reading } from 'pilotlight/judge';
import type { CSSProperties } from 'react';
import { DigitCanvas } from './DigitCanvas';
import { percent } from './digit-words';
import type { Frame } from './useDrawing';

interface Props {
  frame: Frame;
  readings: Reading[] | null;
}

/** The paper: digit beside digit, and under each what the judge takes it for. */
export function Sheet({ frame, readings }: Props) {
  const { digits } = frame;
  return (
    <ol className="sheet-digits" style={columns(digits.digits.length)}>
      {digits.digits.map((digit, i) => (
        <li key={i}>
          <DigitCanvas data={digits.data} index={i} label={`A handwritten ${digit}`} />
          <SheetReading digit={digit} reading={readings?.[i]} />
        </li>
      ))}
    </ol>
  );
}

/** How many digits stand in a row where the paper is wide, narrower and narrow; the styles choose. */
function columns(n: number): CSSProperties {
  const atMost = (most: number) => Math.ceil(n / Math.ceil(n / most));
  return { '--wide': atMost(9), '--narrower': atMost(6), '--narrow': atMost(4) } as CSSProperties;
}

function SheetReading({ digit, reading }: { digit: number; reading: Reading | undefined }) {
  if (!reading) return <p className="sheet-reading" />;
  return (
    <p className="sheet-reading" data-differs={reading.digit !== digit}>
      <span>
        read as <strong>{reading.digit}</strong>
        <span className="unseen">, </span>
      </span>
      <span>{percent(reading.probability)}</span>
    </p>
  );
}
