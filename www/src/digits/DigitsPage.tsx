import { useState } from 'react';
import type { Remedy } from '../engine/problem';
import { HandSettings } from './HandSettings';
import { InkFilter } from './InkFilter';
import { MorphPanel } from './MorphPanel';
import { NumberPanel } from './NumberPanel';
import { PadPanel } from './PadPanel';
import type { Hand } from './useDrawing';
import { useGenerator } from './useGenerator';

/** The page on which one network draws handwritten digits and another one, the judge, reads them. */
export function DigitsPage() {
  const { state, retry, fail } = useGenerator();
  const [hand, setHand] = useState<Hand>({ seed: 7, steps: 7, guidance: 1.75 });
  const studio = state.status === 'ready' ? state.studio : null;

  function remedy(kind: Remedy) {
    if (kind === 'reload') location.reload();
    else retry();
  }

  return (
    <>
      <InkFilter />
      <div className="digits-intro">
        <h1 tabIndex={-1}>Handwritten digits, made in this tab</h1>
        <p>
          A small network makes them out of noise, and another one reads them. Both came with this page: no model host
          is asked, and nothing is sent anywhere.
        </p>
      </div>
      <div className="digits-top">
        <NumberPanel state={state} hand={hand} onFail={fail} onRemedy={remedy} />
        <HandSettings hand={hand} onChange={setHand} />
      </div>
      <div className="digits-below">
        <MorphPanel studio={studio} hand={hand} onFail={fail} />
        <PadPanel studio={studio} hand={hand} onFail={fail} />
      </div>
    </>
  );
}
