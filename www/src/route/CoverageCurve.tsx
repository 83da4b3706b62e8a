import type { ClassifierEvaluation } from 'pilotlight';
import { useRef } from 'react';
import { useSize } from '../map/useSize';
import { percent } from '../page/format';
import { type Point, rateWords } from './route-words';

interface Props {
  points: ClassifierEvaluation['coverage'];
  /** The point of the slider. */
  marked: Point | null;
}

const HEIGHT = 240;
const LEFT = 44;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 48;
const LARGEST = 0.5;

/** The curve of coverage and accuracy over the share of good requests that may be refused, and the same as a table. */
export function CoverageCurve({ points, marked }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const { width } = useSize(frame);
  const lowest = Math.min(0.5, ...points.flatMap(({ coverage, accuracy }) => [coverage, accuracy]));
  const floor = Math.floor(lowest * 10) / 10;
  const x = (rate: number) => LEFT + (rate / LARGEST) * Math.max(0, width - LEFT - RIGHT);
  const y = (share: number) => TOP + ((1 - share) / (1 - floor)) * (HEIGHT - TOP - BOTTOM);
  const line = (value: (point: Point) => number) =>
    points
      .map((point, i) => `${i === 0 ? 'M' : 'L'}${x(point.rate).toFixed(1)} ${y(value(point)).toFixed(1)}`)
      .join('');
  const levels = [1, (1 + floor) / 2, floor];

  return (
    <figure className="route-curve">
      <div ref={frame} style={{ height: HEIGHT }}>
        {width > 0 && (
          <svg
            width={width}
            height={HEIGHT}
            role="img"
            aria-label="Curve of answers and right answers, as the table below"
          >
            {levels.map((share) => (
              <g key={share}>
                <path className="route-grid" d={`M${LEFT} ${y(share)}H${width - RIGHT}`} />
                <text x={LEFT - 8} y={y(share) + 4} textAnchor="end">
                  {rateWords(share)}
                </text>
              </g>
            ))}
            {[0, 0.1, 0.2, 0.3, 0.4, 0.5].map((rate) => (
              <text key={rate} x={x(rate)} y={HEIGHT - BOTTOM + 19} textAnchor="middle">
                {rateWords(rate)}
              </text>
            ))}
            <text x={(LEFT + width - RIGHT) / 2} y={HEIGHT - 8} textAnchor="middle">
              may be refused
            </text>
            <path className="route-coverage" d={line(({ coverage }) => coverage)} />
            <path className="route-accuracy" d={line(({ accuracy }) => accuracy)} />
            {marked && (
              <>
                <path className="route-marked" d={`M${x(marked.rate)} ${TOP}V${HEIGHT - BOTTOM}`} />
                <circle className="route-coverage-dot" cx={x(marked.rate)} cy={y(marked.coverage)} r={5} />
                <circle className="route-accuracy-dot" cx={x(marked.rate)} cy={y(marked.accuracy)} r={5} />
              </>
            )}
          </svg>
        )}
      </div>
      <figcaption>
        <span data-line="coverage">requests that it answers</span>
        <span data-line="accuracy">answers that are right</span>
      </figcaption>
      {points.length > 0 && (
        <details>
          <summary>The curve as a table</summary>
          <table>
            <thead>
              <tr>
                <th scope="col">May be refused</th>
                <th scope="col">Answered</th>
                <th scope="col">Right</th>
              </tr>
            </thead>
            <tbody>
              {points.map(({ rate, coverage, accuracy }) => (
                <tr key={rate}>
                  <th scope="row">{rateWords(rate)}</th>
                  <td>{percent(coverage)}</td>
                  <td>{percent(accuracy)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </figure>
  );
}
