/*
 * This file brings a drawing of any size into the form of MNIST's digits, which the judge was trained on.
 *
 * LeCun et al. write of how MNIST was made: the digits were "size normalized to fit in a 20x20 pixel box while preserving their
 * aspect ratio", came out grey "as a result of the anti-aliasing technique", and "were centered in a 28x28 image by computing the
 * center of mass of the pixels, and translating the image so as to position this point at the center".
 *
 * Scale and shift are one step here, so that nothing is rounded to whole pixels twice: each of the 28 by 28 pixels is the mean of
 * the ink in its rectangle of the drawing, where a pixel that the edge of the rectangle cuts counts by its share. Rows and columns
 * are independent of each other, so the mean is taken along one and then along the other.
 */
import { EDGE } from './ink';

/** The length of the larger side of the ink, in pixels of the result. */
const BOX = 20;
/** A pixel with less ink than this, of 255, belongs to the soft rim of a stroke and does not count for the bounding box. */
const RIM = 16;

/** The extent `[from, to)` of the ink along one axis. */
type Range = [from: number, to: number];

/** Brings `ink`, in rows with 0 for paper and 255 for ink, into MNIST's form of 28 by 28; null where there is no ink. */
export function centred(ink: Uint8Array, width: number, height: number): Uint8Array | null {
  const columns = new Float64Array(width);
  const rows = new Float64Array(height);
  let [left, right, top, bottom] = [width, 0, height, 0];
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const value = ink[at] ?? 0;
      if (value === 0) continue;
      columns[x] = (columns[x] ?? 0) + value;
      rows[y] = (rows[y] ?? 0) + value;
      if (value < RIM) continue;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
      if (y < top) top = y;
      bottom = y + 1;
    }
  }
  if (right === 0) return null;

  const scale = Math.max(right - left, bottom - top) / BOX;
  const across = shares(origin(centreOf(columns), [left, right], scale), scale, width);
  const down = shares(origin(centreOf(rows), [top, bottom], scale), scale, height);

  // The mean along the rows comes first: it gives `height` rows of 28.
  const narrow = new Float64Array(height * EDGE);
  for (let y = 0; y < height; y += 1) {
    across.forEach(({ from, weights }, x) => {
      let sum = 0;
      weights.forEach((weight, i) => {
        sum += weight * (ink[y * width + from + i] ?? 0);
      });
      narrow[y * EDGE + x] = sum;
    });
  }
  return Uint8Array.from({ length: EDGE * EDGE }, (_, at) => {
    const share = down[Math.floor(at / EDGE)];
    let sum = 0;
    share?.weights.forEach((weight, i) => {
      sum += weight * (narrow[(share.from + i) * EDGE + (at % EDGE)] ?? 0);
    });
    return Math.round(Math.min(255, sum));
  });
}

/** The centre of mass along one axis. The middle of a pixel is half a pixel after its beginning. */
function centreOf(mass: Float64Array): number {
  let [all, moment] = [0, 0];
  mass.forEach((value, i) => {
    all += value;
    moment += value * (i + 0.5);
  });
  return moment / all;
}

/** Returns the start of the result in the drawing. The centre of mass is in its middle, unless ink would be cut off at its edge then. */
function origin(centre: number, [from, to]: Range, scale: number): number {
  return Math.min(from, Math.max(to - EDGE * scale, centre - (EDGE / 2) * scale));
}

/** Returns for each pixel of the result the first of the drawing's pixels under it, and the weights of this one and those after it in the mean. */
function shares(start: number, scale: number, size: number): { from: number; weights: number[] }[] {
  return Array.from({ length: EDGE }, (_, i) => {
    const [begin, end] = [start + i * scale, start + (i + 1) * scale];
    const [from, to] = [Math.max(0, Math.floor(begin)), Math.min(size, Math.ceil(end))];
    const overlap = (at: number) => (Math.min(at + 1, end) - Math.max(at, begin)) / scale;
    return { from, weights: Array.from({ length: Math.max(0, to - from) }, (_, k) => overlap(from + k)) };
  });
}
