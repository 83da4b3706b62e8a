import { SeedField } from './SeedField';
import { Slider } from './Slider';
import type { Hand } from './useDrawing';

interface Props {
  hand: Hand;
  onChange: (hand: Hand) => void;
}

/** The settings of a drawing: its seed, its steps and its guidance. */
export function HandSettings({ hand, onChange }: Props) {
  return (
    <section className="card hand" aria-labelledby="hand-title">
      <h2 id="hand-title">The hand</h2>
      <SeedField seed={hand.seed} onChange={(seed) => onChange({ ...hand, seed })} />
      <Slider
        label="Steps"
        words="How often the network looks at the noise and clears some of it away. More take longer and make it finer."
        value={hand.steps}
        min={1}
        max={30}
        step={1}
        onChange={(steps) => onChange({ ...hand, steps })}
      />
      <Slider
        label="Guidance"
        words="How strongly it is led to the digit that you asked for: 1 writes as people do, more is clearer and more alike. It acts while the digit takes shape."
        value={hand.guidance}
        min={0}
        max={5}
        step={0.25}
        onChange={(guidance) => onChange({ ...hand, guidance })}
      />
    </section>
  );
}
