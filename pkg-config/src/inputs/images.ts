import type { ImageSource } from '../../types/index.js';
import { abortable, aborted, stoppedBy } from '../calls/abort.js';
import { PilotlightError } from '../error.js';

/** An image as a core takes it: the bytes of a file, or pixels. */
export type ImageInput = Uint8Array | Pixels;

interface Pixels {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** The core has the same limits for files. */
const MAX_PIXELS = 50_000_000;
const MAX_BYTES = 2 ** 28;

/** Milliseconds without a byte after which fetching an image fails: later calls wait for this one. */
const STALL_TIMEOUT = 20_000;

/** The types that a canvas can draw, in runtimes that have one. */
type Drawable = ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas;

/**
 * Brings an image into a form that the core takes. `name` is its name in messages.
 * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `FETCH_FAILED`, `ABORTED`
 */
export async function imageInputOf(
  source: ImageSource,
  name: string,
  decoder: 'pilotlight' | 'browser',
  signal: AbortSignal | undefined,
): Promise<ImageInput> {
  if (signal?.aborted) throw aborted(signal);
  const kind = kindOf(source);
  if (DRAWABLE.has(kind)) return pixelsOf(source as Drawable, kind, name);
  if (isPixels(source)) {
    const { data, width, height } = source;
    checkPixels(width, height, name);
    return { data: new Uint8ClampedArray(data.buffer, data.byteOffset, data.byteLength), width, height };
  }
  const bytes = await bytesOf(source, kind, name, signal);
  return decoder === 'pilotlight' ? bytes : decodedByBrowser(bytes, name);
}

const DRAWABLE = new Set(['ImageBitmap', 'HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas']);

/** The name of a value's class. It also works for values of another frame, whose classes are other objects. */
const kindOf = (source: unknown): string => Object.prototype.toString.call(source).slice(8, -1);

function isPixels(source: unknown): source is Pixels {
  return (
    typeof source === 'object' && source !== null && kindOf((source as Partial<Pixels>).data) === 'Uint8ClampedArray'
  );
}

async function bytesOf(
  source: unknown,
  kind: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  switch (kind) {
    case 'Uint8Array': {
      const { buffer, byteOffset, byteLength } = source as Uint8Array;
      checkBytes(byteLength, name);
      return new Uint8Array(buffer, byteOffset, byteLength);
    }
    case 'ArrayBuffer':
      checkBytes((source as ArrayBuffer).byteLength, name);
      return new Uint8Array(source as ArrayBuffer);
    case 'Blob':
    case 'File':
      checkBytes((source as Blob).size, name);
      try {
        return new Uint8Array(await abortable((source as Blob).arrayBuffer(), signal));
      } catch (error) {
        if (error instanceof PilotlightError) throw error;
        throw new PilotlightError(
          'INVALID_INPUT',
          `${name}: the file cannot be read; it may have been moved or deleted`,
          error,
        );
      }
    case 'String':
    case 'URL':
      return fetched(String(source), name, signal);
    default: {
      const expected = 'a Blob, bytes, a URL, ImageData, an ImageBitmap, or an img or canvas element';
      throw new PilotlightError(
        'INVALID_INPUT',
        `${name}: expected ${expected}, got ${source === null ? 'null' : typeof source}`,
      );
    }
  }
}

function checkBytes(bytes: number, name: string): void {
  if (bytes > MAX_BYTES)
    throw new PilotlightError('RESOURCE_LIMIT', `${name}: the file has ${bytes} bytes, expected ${MAX_BYTES} at most`);
}

function checkPixels(width: number, height: number, name: string): void {
  if (width * height > MAX_PIXELS) {
    throw new PilotlightError(
      'RESOURCE_LIMIT',
      `${name}: the image has ${width} x ${height} pixels, expected ${MAX_PIXELS} in all at most`,
    );
  }
}

async function fetched(url: string, name: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const fetching = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const restartTimer = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => fetching.abort(), STALL_TIMEOUT);
  };
  let answered = false;
  try {
    return await stoppedBy(
      signal,
      () => fetching.abort(),
      async () => {
        restartTimer();
        const response = await fetch(url, { signal: fetching.signal });
        if (!response.ok) {
          const { status } = response;
          const message = `${name}: the server answered ${status}`;
          throw new PilotlightError('FETCH_FAILED', message, undefined, { status, reason: 'status' });
        }
        answered = true;
        const parts: Uint8Array[] = [];
        let bytes = 0;
        for (const reader = response.body?.getReader(); reader; ) {
          restartTimer();
          const { done, value } = await reader.read();
          if (done) break;
          parts.push(value);
          bytes += value.length;
          checkBytes(bytes, name);
        }
        return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
      },
    );
  } catch (error) {
    if (signal?.aborted) throw aborted(signal);
    if (error instanceof PilotlightError) throw error;
    if (fetching.signal.aborted)
      throw new PilotlightError(
        'FETCH_FAILED',
        `${name}: the server sent nothing for ${STALL_TIMEOUT / 1000} s`,
        error,
        {
          reason: 'stalled',
        },
      );
    throw new PilotlightError(
      'FETCH_FAILED',
      `${name}: its URL cannot be fetched: is it right, and does that server allow this page to read it?`,
      error,
      answered ? {} : { reason: 'unreachable' },
    );
  } finally {
    clearTimeout(timer);
    // A response that was not read to its end is cancelled.
    fetching.abort();
  }
}

async function decodedByBrowser(bytes: Uint8Array, name: string): Promise<Pixels> {
  if (typeof createImageBitmap !== 'function')
    throw new PilotlightError(
      'BACKEND_UNAVAILABLE',
      `${name}: this runtime has no decoder of its own; leave out decoder: 'browser'`,
    );
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as BlobPart]));
  } catch (error) {
    throw new PilotlightError('INVALID_INPUT', `${name}: the browser cannot decode the image`, error);
  }
  try {
    return pixelsOf(bitmap, 'ImageBitmap', name);
  } finally {
    bitmap.close();
  }
}

function pixelsOf(source: Drawable, kind: string, name: string): Pixels {
  const element = kind === 'HTMLImageElement' ? (source as HTMLImageElement) : undefined;
  if (element && !(element.complete && element.naturalWidth > 0)) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: the img element has not loaded its image; await its decode() first`,
    );
  }
  const { width, height } = element ? { width: element.naturalWidth, height: element.naturalHeight } : source;
  if (width * height === 0)
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: the image has ${width} x ${height} pixels; an ImageBitmap may have been closed`,
    );
  checkPixels(width, height, name);
  const context = canvasOf(width, height, name).getContext('2d', {
    willReadFrequently: true,
  }) as OffscreenCanvasRenderingContext2D | null;
  if (!context)
    throw new PilotlightError('RESOURCE_LIMIT', `${name}: there is no canvas of ${width} x ${height} pixels to be had`);
  context.drawImage(source, 0, 0);
  try {
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: it comes from another server, so the browser does not hand out its pixels; give its URL or bytes instead`,
      error,
    );
  }
}

function canvasOf(width: number, height: number, name: string): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(width, height);
  if (typeof document === 'undefined')
    throw new PilotlightError(
      'BACKEND_UNAVAILABLE',
      `${name}: this runtime has no canvas; give the bytes of the image file`,
    );
  return Object.assign(document.createElement('canvas'), { width, height });
}
