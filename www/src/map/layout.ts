/** A position on the map, in pixels from its top left corner. */
export interface Spot {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

const MARGIN = 34;

/** Makes the function that maps points into the box. Both axes have the same scale, so that distances can be compared. */
export function fitBox(
  points: readonly (readonly [number, number])[],
  { width, height }: Size,
): (point: readonly [number, number]) => Spot {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min(
    (width - 2 * MARGIN) / Math.max(right - left, 1e-6),
    (height - 2 * MARGIN) / Math.max(high - low, 1e-6),
    1e5,
  );
  return ([x, y]) => ({
    x: width / 2 + (x - (left + right) / 2) * scale,
    y: height / 2 - (y - (low + high) / 2) * scale,
  });
}

/** A label, and where it stands beside its point. */
export interface Label extends Spot {
  id: number;
  text: string;
  anchor: 'start' | 'end' | 'middle';
}

const LINE = 15;
const CHARACTER = 6.4;
const GAP = 10;

/** The first words of a text, up to about `limit` characters. */
export function shortLabel(text: string, limit: number): string {
  if (text.length <= limit) return text.replace(/[.,;:]$/, '');
  const cut = text.slice(0, limit + 1).replace(/\s+\S*$/, '');
  return `${(cut || text.slice(0, limit)).replace(/[.,;:]$/, '')}…`;
}

/** Places labels in the order given so that none covers a point or another label; a label that fits nowhere is left out. */
export function placeLabels(
  items: readonly { id: number; text: string; spot: Spot }[],
  obstacles: readonly Spot[],
  { width, height }: Size,
): Label[] {
  const taken = obstacles.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  const labels: Label[] = [];
  for (const { id, text, spot } of items) {
    const long = text.length * CHARACTER;
    const candidates: (Spot & { anchor: Label['anchor']; left: number })[] = [
      { x: spot.x + GAP, y: spot.y + 4, anchor: 'start', left: spot.x + GAP },
      { x: spot.x - GAP, y: spot.y + 4, anchor: 'end', left: spot.x - GAP - long },
      { x: spot.x, y: spot.y - GAP, anchor: 'middle', left: spot.x - long / 2 },
      { x: spot.x, y: spot.y + GAP + 10, anchor: 'middle', left: spot.x - long / 2 },
    ];
    for (const { x, y, anchor, left } of candidates) {
      const box = { left: left - 2, right: left + long + 2, top: y - LINE + 3, bottom: y + 5 };
      const inside = box.left >= 2 && box.right <= width - 2 && box.top >= 2 && box.bottom <= height - 2;
      const free = taken.every(
        (other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom,
      );
      if (!inside || !free) continue;
      taken.push(box);
      labels.push({ id, text, x, y, anchor });
      break;
    }
  }
  return labels;
}
