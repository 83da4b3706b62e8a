import type { Outline } from './scenes';

// The outlines are those of FILLED and STROKED in `training/clip/draw.py`. Each lies in a circle of radius 1 about the origin.

export type Point = readonly [number, number];

/** A polygon to fill, or lines to stroke with a width and with round joins and ends. */
export type Shape = { polygon: readonly Point[] } | { width: number; lines: readonly (readonly Point[])[] };

/** Points on an arc. Angles are in degrees and go clockwise from the right, because y points down. */
function arc(x: number, y: number, radius: number, start: number, end: number, steps = 24): Point[] {
  return Array.from({ length: steps + 1 }, (_, step) => {
    const angle = ((start + ((end - start) * step) / steps) * Math.PI) / 180;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
}

function star(): Point[] {
  return Array.from({ length: 10 }, (_, i) => {
    const radius = i % 2 === 0 ? 1.05 : 0.43;
    return [radius * Math.sin((Math.PI * i) / 5), -radius * Math.cos((Math.PI * i) / 5)];
  });
}

function heart(): Point[] {
  return Array.from({ length: 40 }, (_, step) => {
    const t = (2 * Math.PI * step) / 40;
    return [
      Math.sin(t) ** 3,
      -(13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t)) / 16 - 0.1,
    ];
  });
}

const filled = (...polygon: Point[]): Shape => ({ polygon });
const stroked = (...lines: Point[][]): Shape => ({ width: 0.32, lines });

export const OUTLINES: Record<Outline, Shape> = {
  circle: filled(...arc(0, 0, 0.95, 0, 360, 48)),
  square: filled([-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]),
  triangle: filled([0, -0.95], [0.95, 0.75], [-0.95, 0.75]),
  star: filled(...star()),
  heart: filled(...heart()),
  diamond: filled([0, -1], [0.66, 0], [0, 1], [-0.66, 0]),
  ring: { width: 0.36, lines: [arc(0, 0, 0.78, 0, 360, 48)] },
  cross: filled(
    [-0.3, -0.95],
    [0.3, -0.95],
    [0.3, -0.3],
    [0.95, -0.3],
    [0.95, 0.3],
    [0.3, 0.3],
    [0.3, 0.95],
    [-0.3, 0.95],
    [-0.3, 0.3],
    [-0.95, 0.3],
    [-0.95, -0.3],
    [-0.3, -0.3],
  ),
  moon: filled(...arc(0.1, 0, 1, 60, 300, 32), ...arc(0.6, 0, 0.866, 270, 90, 24)),
  arrow: filled([-1, -0.27], [0.05, -0.27], [0.05, -0.8], [1, 0], [0.05, 0.8], [0.05, 0.27], [-1, 0.27]),
  zero: stroked(arc(0, 0, 1, 0, 360, 32).map(([x, y]) => [x * 0.56, y * 0.84])),
  one: stroked([
    [-0.35, -0.5],
    [0.05, -0.84],
    [0.05, 0.84],
  ]),
  two: stroked([...arc(0, -0.34, 0.5, 190, 390, 20), [-0.5, 0.84], [0.55, 0.84]]),
  three: stroked([...arc(-0.05, -0.42, 0.42, 200, 450, 20), ...arc(-0.05, 0.38, 0.46, 270, 520, 20)]),
  four: stroked([
    [0.28, 0.84],
    [0.28, -0.84],
    [-0.6, 0.3],
    [0.62, 0.3],
  ]),
  five: stroked([[0.5, -0.84], [-0.4, -0.84], [-0.46, -0.1], ...arc(0, 0.3, 0.54, 225, 510)]),
  six: stroked(
    [
      [0.35, -0.84],
      [-0.2, -0.4],
      [-0.48, 0.15],
    ],
    arc(0, 0.34, 0.5, 0, 360, 32),
  ),
  seven: stroked([
    [-0.52, -0.84],
    [0.54, -0.84],
    [-0.12, 0.84],
  ]),
  eight: stroked(arc(0, -0.44, 0.4, 0, 360, 28), arc(0, 0.4, 0.46, 0, 360, 28)),
  nine: stroked(
    [
      [-0.35, 0.84],
      [0.2, 0.4],
      [0.48, -0.15],
    ],
    arc(0, -0.34, 0.5, 0, 360, 32),
  ),
};
