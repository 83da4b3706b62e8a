import { useSyncExternalStore } from 'react';

/** Pixels along an edge of a digit. */
export const EDGE = 28;
/** Pixels of a digit. */
export const PIXELS = EDGE * EDGE;

function subscribe(listener: () => void) {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const chosen = new MutationObserver(listener);
  dark.addEventListener('change', listener);
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  return () => {
    dark.removeEventListener('change', listener);
    chosen.disconnect();
  };
}

/** The text colour of the theme, as a canvas takes it. */
export const useInk = (): string => useSyncExternalStore(subscribe, () => getComputedStyle(document.body).color);

/** Changes the colour of all that was drawn on a canvas; the opacity of each pixel stays. */
export function dye(context: CanvasRenderingContext2D, ink: string): void {
  context.save();
  context.globalCompositeOperation = 'source-in';
  context.fillStyle = ink;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.restore();
}

let mask: CanvasRenderingContext2D | null = null;

/** Paints one of the digits in `data`, where 0 is paper and 255 is ink, over the whole canvas. */
export function paint(context: CanvasRenderingContext2D, data: Uint8Array, index: number, ink: string): void {
  mask ??= smallContext();
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  if (!mask) return;
  const image = new ImageData(EDGE, EDGE);
  for (let i = 0; i < PIXELS; i += 1) image.data[4 * i + 3] = data[index * PIXELS + i] ?? 0;
  mask.putImageData(image, 0, 0);
  dye(mask, ink);
  context.imageSmoothingQuality = 'high';
  context.drawImage(mask.canvas, 0, 0, width, height);
}

function smallContext(): CanvasRenderingContext2D | null {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = EDGE;
  return canvas.getContext('2d', { willReadFrequently: true });
}
