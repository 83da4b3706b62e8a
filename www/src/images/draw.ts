import { OUTLINES, type Point } from './outlines';
import { type Layout, SIDE } from './scenes';

/** A scene is drawn at this scale, at which the training drew its images before it reduced them. */
const SCALE = 4;

/** Draws a scene, as a PNG file. */
export async function drawScene({ ground, things }: Layout): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE * SCALE;
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('this browser gives out no canvas to draw on');
  pen.fillStyle = `rgb(${ground})`;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.lineCap = pen.lineJoin = 'round';
  for (const { outline, rgb, radius, x, y, turn } of things) {
    pen.setTransform(SCALE, 0, 0, SCALE, x * SCALE, y * SCALE);
    pen.rotate(turn);
    pen.scale(radius, radius);
    pen.fillStyle = pen.strokeStyle = `rgb(${rgb})`;
    const shape = OUTLINES[outline];
    if ('polygon' in shape) {
      trace(pen, shape.polygon);
      pen.fill();
      continue;
    }
    pen.lineWidth = shape.width;
    for (const line of shape.lines) {
      trace(pen, line);
      pen.stroke();
    }
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('this browser makes no PNG of a canvas'))),
      'image/png',
    ),
  );
}

function trace(pen: CanvasRenderingContext2D, points: readonly Point[]) {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
}
