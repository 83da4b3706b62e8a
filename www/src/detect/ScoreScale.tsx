interface Props {
  score: number;
  thresholds: { machine: number; sign: number };
}

/** The length of the scale below the first threshold and above the second. */
const BELOW = 4;
const ABOVE = 2.5;

const place = (value: number) => value.toFixed(2).replace('-', '−');

/** The place of the score on a scale with the thresholds. */
export function ScoreScale({ score, thresholds: { machine, sign } }: Props) {
  const low = sign - BELOW;
  const high = machine + ABOVE;
  const at = (value: number) => `${(100 * Math.min(1, Math.max(0, (value - low) / (high - low)))).toFixed(2)}%`;
  return (
    <figure className="detect-scale">
      <div aria-hidden="true">
        <span className="detect-zone" style={{ left: 0, width: at(sign) }} />
        <span className="detect-zone" style={{ left: at(sign), right: `calc(100% - ${at(machine)})` }} />
        <span className="detect-zone" style={{ left: at(machine), right: 0 }} />
        <span className="detect-dot" style={{ left: at(score) }} />
      </div>
      <figcaption>
        The score is <strong>{place(score)}</strong>. Up to {place(sign)} it is no sign, above {place(machine)} it reads
        like a machine’s, and between them it is uncertain.
      </figcaption>
    </figure>
  );
}
