import type { Reading } from 'pilotlight/judge';
import type { CSSProperties } from 'react';
import { percent } from '../page/format';
import { DigitCanvas } from './DigitCanvas';

import type { Frame } from './useDrawing';

interface Props {
  frame: Frame;
  readings: Reading[] | null;
}

/** The digits of a number in rows, and under each the digit that the judge reads. */
export function Sheet({ frame, readings }: Props) {
  const { digits } = frame;
  return (
    <ol className="sheet-digits" style={columns(digits.digits.length)}>
      {digits.digits.map((digit, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: digits repeat, and each stays in its place
        <li key={i}>
          <DigitCanvas data={digits.data} index={i} label={`A handwritten ${digit}`} />
          <SheetReading digit={digit} reading={readings?.[i]} />
        </li>
      ))}
    </ol>
  );
}

/** The number of digits in a row on a wide, a narrower and a narrow sheet, as properties of which the styles choose one. */
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
