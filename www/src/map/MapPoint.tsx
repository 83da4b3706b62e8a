import type { KeyboardEvent } from 'react';
import type { Entry } from '../search/rank';
import type { Spot } from './layout';

interface Props {
  entry: Entry;
  spot: Spot;
  stop: number;
  tabbable: boolean;
  near: boolean;
  active: boolean;
  onActive: (on: boolean) => void;
  onPick: () => void;
}

/** A sentence as a point on the map, which is an option of the map's listbox. */
export function MapPoint({ entry, spot, stop, tabbable, near, active, onActive, onPick }: Props) {
  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onPick();
  }
  const score = entry.score === null ? '' : `, score ${entry.score.toFixed(2)}`;
  return (
    <g
      className="map-point"
      data-stop={stop}
      data-near={near}
      data-active={active}
      data-quiet={entry.score !== null && !near}
      role="option"
      aria-selected={active}
      aria-label={`${entry.text}${score}`}
      tabIndex={tabbable ? 0 : -1}
      transform={`translate(${spot.x} ${spot.y})`}
      onFocus={() => onActive(true)}
      onBlur={() => onActive(false)}
      onPointerEnter={() => onActive(true)}
      onPointerLeave={() => onActive(false)}
      onClick={onPick}
      onKeyDown={onKeyDown}
    >
      <circle className="map-target" r="14" />
      <circle className="map-dot" r={near ? 6.5 : 5} />
    </g>
  );
}
