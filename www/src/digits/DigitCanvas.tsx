import { memo, useLayoutEffect, useRef } from 'react';
import { EDGE, paint, useInk } from './ink';

interface Props {
  /** Digits one after the other, `PIXELS` bytes each, where 0 is paper and 255 is ink; null is empty paper. */
  data: Uint8Array | null;
  index?: number;
  /** Pixels of the canvas along an edge for each pixel of the digit. */
  scale?: number;
  /** The name of the canvas for screen readers; without one it is hidden from them. */
  label?: string;
}

/** A digit of 28 by 28 pixels, painted in the theme's ink on a transparent canvas. */
export const DigitCanvas = memo(function DigitCanvas({ data, index = 0, scale = 6, label }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const ink = useInk();

  useLayoutEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (context && data) paint(context, data, index, ink);
    else context?.clearRect(0, 0, context.canvas.width, context.canvas.height);
  }, [data, index, ink]);

  const role = label === undefined ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label };
  return (
    <canvas
      ref={canvas}
      className="digit"
      data-sharp={scale > 1}
      width={EDGE * scale}
      height={EDGE * scale}
      {...role}
    />
  );
});
