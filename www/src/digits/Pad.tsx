import { type PointerEvent, type Ref, useEffect, useImperativeHandle, useRef } from 'react';
import { dye, paint, useInk } from './ink';

/** Pixels along an edge: 16 for each of the 28 that the judge sees. */
export const PAD = 448;
/** As thick as MNIST's strokes, on a digit that fills the pad. */
const STROKE = 38;

export interface PadHandle {
  clear(): void;
  /** Puts a picture of 28 by 28 on the pad. */
  stamp(picture: Uint8Array): void;
  /** What is on it, `PAD` by `PAD`: 0 is paper, 255 is ink. */
  ink(): Uint8Array;
}

interface Props {
  ref: Ref<PadHandle>;
  label: string;
  /** A stroke is about to begin. */
  onBegin: () => void;
  /** Something was drawn; `lifted` when the stroke is over. */
  onDraw: (lifted: boolean) => void;
}

interface Point {
  x: number;
  y: number;
}

/** To draw on by finger, mouse or pen. */
export function Pad({ ref, label, onBegin, onDraw }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pen = useRef<(Point & { id: number }) | null>(null);
  const ink = useInk();
  const context = () => canvas.current?.getContext('2d', { willReadFrequently: true }) ?? null;

  useEffect(() => {
    const paper = context();
    if (paper) dye(paper, ink);
  }, [ink]);

  useImperativeHandle(
    ref,
    () => ({
      clear: () => context()?.clearRect(0, 0, PAD, PAD),
      stamp(picture) {
        const paper = context();
        if (paper) paint(paper, picture, 0, ink);
      },
      ink() {
        const pixels = context()?.getImageData(0, 0, PAD, PAD).data;
        const alpha = new Uint8Array(PAD * PAD);
        if (pixels) for (let i = 0; i < alpha.length; i += 1) alpha[i] = pixels[4 * i + 3] ?? 0;
        return alpha;
      },
    }),
    [ink],
  );

  function stroke(from: Point, to: Point) {
    const paper = context();
    if (!paper) return;
    Object.assign(paper, { lineWidth: STROKE, lineCap: 'round', strokeStyle: ink });
    paper.beginPath();
    paper.moveTo(from.x, from.y);
    paper.lineTo(to.x, to.y);
    paper.stroke();
  }

  function down(event: PointerEvent<HTMLCanvasElement>) {
    // Of several fingers the first one draws.
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
    // A fast pen is at several places between two frames.
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

function pointOf({ clientX, clientY }: { clientX: number; clientY: number }, canvas: HTMLCanvasElement): Point {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return { x: ((clientX - left) / width) * PAD, y: ((clientY - top) / height) * PAD };
}
