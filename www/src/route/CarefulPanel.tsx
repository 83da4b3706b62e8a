import type { ClassifierEvaluation } from 'pilotlight';
import { Slider } from '../digits/Slider';
import { CoverageCurve } from './CoverageCurve';
import { pointAt, pointWords, rateWords } from './route-words';

interface Props {
  evaluation: ClassifierEvaluation | null;
  unknown: number;
  onChange: (unknown: number) => void;
}

/** The slider for the share of good requests that may be refused, with the resulting coverage and accuracy. */
export function CarefulPanel({ evaluation, unknown, onChange }: Props) {
  const points = evaluation?.coverage ?? [];
  const point = pointAt(points, unknown);
  return (
    <section className="card route-panel" aria-labelledby="route-careful-title">
      <h2 id="route-careful-title">How careful it is</h2>
      <Slider
        label="Good requests that it may refuse"
        words={point ? pointWords(point) : 'Once it has been checked, this says how good the answers are.'}
        value={Math.round(unknown * 100)}
        text={rateWords(unknown)}
        spoken={`${rateWords(unknown)}. ${point ? pointWords(point) : ''}`}
        min={0}
        max={50}
        step={1}
        onChange={(percent) => onChange(percent / 100)}
      />
      <CoverageCurve points={points} marked={point} />
    </section>
  );
}
