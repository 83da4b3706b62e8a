import { type PointerEvent, type Ref, useEffect, useImperativeHandle, useRef } from 'react';
import { dye, paint, useInk } from './ink';

/** Pixels along an edge of the pad: 16 for each of the 28 that the judge sees. */
export const PAD = 448;
/** The width of the pen in pixels: on a digit that fills the pad it is that of MNIST's strokes. */
const STROKE = 38;

/** The methods of the pad that its panel calls. */
export interface PadHandle {
  clear(): void;
  /** Paints a digit of 28 by 28 pixels over the whole pad. */
  stamp(pixels: Uint8Array): void;
  /** The drawing on the pad, `PAD` by `PAD` pixels: 0 is paper, 255 is ink. */
  ink(): Uint8Array;
}

interface Props {
  ref: Ref<PadHandle>;
  label: string;
  /** Called before a stroke begins. */
  onBegin: () => void;
  /** Called after something was drawn; `lifted` is true at the end of the stroke. */
  onDraw: (lifted: boolean) => void;
}

interface Point {
  x: number;
  y: number;
}

/** A canvas to draw on by finger, mouse or pen. */
export function Pad({ ref, label, onBegin, onDraw }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pen = useRef<(Point & { id: number }) | null>(null);
  const ink = useInk();

  useEffect(() => {
    const paper = contextOf(canvas.current);
    if (paper) dye(paper, ink);
  }, [ink]);

  useImperativeHandle(
    ref,
    () => ({
      clear: () => contextOf(canvas.current)?.clearRect(0, 0, PAD, PAD),
      stamp(pixels) {
        const paper = contextOf(canvas.current);
        if (paper) paint(paper, pixels, 0, ink);
      },
      ink() {
        const pixels = contextOf(canvas.current)?.getImageData(0, 0, PAD, PAD).data;
        const alpha = new Uint8Array(PAD * PAD);
        if (pixels) for (let i = 0; i < alpha.length; i += 1) alpha[i] = pixels[4 * i + 3] ?? 0;
        return alpha;
      },
    }),
    [ink],
  );

  function stroke(from: Point, to: Point) {
    const paper = contextOf(canvas.current);
    if (!paper) return;
    Object.assign(paper, { lineWidth: STROKE, lineCap: 'round', strokeStyle: ink });
    paper.beginPath();
    paper.moveTo(from.x, from.y);
    paper.lineTo(to.x, to.y);
    paper.stroke();
  }

  function down(event: PointerEvent<HTMLCanvasElement>) {
    // The first of several fingers draws, and the others are ignored.
    if (pen.current || event.button !== 0) return;
    onBegin();
    event.currentTarget.setPointerCapture(event.pointerId);
    const point = pointOf(event, event.currentTarget);
    pen.current = { id: event.pointerId, ...point };
    stroke(point, point);
    onDraw(false);
  }

  function move(event: PointerEvent<HTMLCanvasElement>) {
    if (pen.current?.id !== event.pointerId) return;
    // A fast pen passes several points between two frames.
    const between = event.nativeEvent.getCoalescedEvents?.() ?? [];
    for (const one of between.length > 0 ? between : [event]) {
      const point = pointOf(one, event.currentTarget);
      stroke(pen.current, point);
      Object.assign(pen.current, point);
    }
    onDraw(false);
  }

  function up(event: PointerEvent<HTMLCanvasElement>) {
    if (pen.current?.id !== event.pointerId) return;
    pen.current = null;
    onDraw(true);
  }

  return (
    <div className="pad">
      <canvas
        ref={canvas}
        className="digit"
        data-sharp="true"
        width={PAD}
        height={PAD}
        role="img"
        aria-label={label}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={up}
      />
    </div>
  );
}

function contextOf(canvas: HTMLCanvasElement | null): CanvasRenderingContext2D | null {
  return canvas?.getContext('2d', { willReadFrequently: true }) ?? null;
}

function pointOf({ clientX, clientY }: { clientX: number; clientY: number }, canvas: HTMLCanvasElement): Point {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return { x: ((clientX - left) / width) * PAD, y: ((clientY - top) / height) * PAD };
}
