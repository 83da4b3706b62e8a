import type { Spot } from '../map/layout';

/** The direction of each arrow key. */
const WAYS: Record<string, readonly [number, number]> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
};

export const isArrow = (key: string) => key in WAYS;

/** The index of the nearest point in the direction of an arrow key; undefined where there is none. A point counts as farther away the more it lies to the side. */
export function neighbour(spots: readonly Spot[], from: number, key: string): number | undefined {
  const way = WAYS[key];
  const start = spots[from];
  if (!way || !start) return undefined;
  let best: number | undefined;
  let least = Infinity;
  spots.forEach(({ x, y }, i) => {
    const [dx, dy] = [x - start.x, y - start.y];
    const along = dx * way[0] + dy * way[1];
    const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (i !== from && along > 0.5 && along + 2 * aside < least) {
      best = i;
      least = along + 2 * aside;
    }
  });
  return best;
}
