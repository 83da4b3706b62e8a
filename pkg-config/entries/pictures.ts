import type { ImageSource } from '../types/index.js';
import { aborted } from './abort.js';
import { PilotlightError } from './error.js';

/** What a core takes for a picture: a file's bytes, or pixels. */
export type Picture = Uint8Array | Pixels;

interface Pixels {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** As the core's own limit for files. */
const MOST_PIXELS = 50_000_000;

/** What can be drawn, in runtimes that have a canvas. */
type Drawable = ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas;

/**
 * A picture in a form that the core takes. `name` is what messages call it.
 * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `FETCH_FAILED`, `ABORTED`
 */
export async function pictureOf(source: ImageSource, name: string, decoder: 'pilotlight' | 'browser', signal: AbortSignal | undefined): Promise<Picture> {
  if (signal?.aborted) throw aborted(signal);
  const kind = kindOf(source);
  if (DRAWABLE.has(kind)) return pixelsOf(source as Drawable, kind, name);
  if (isPixels(source)) return { data: new Uint8ClampedArray(source.data.buffer, source.data.byteOffset, source.data.byteLength), width: source.width, height: source.height };
  const bytes = await bytesOf(source, kind, name, signal);
  return decoder === 'pilotlight' ? bytes : decodedByBrowser(bytes, name);
}

const DRAWABLE = new Set(['ImageBitmap', 'HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas']);

/** What something is, also where it comes from another frame, whose classes are not this one's. */
const kindOf = (source: unknown): string => Object.prototype.toString.call(source).slice(8, -1);

function isPixels(source: unknown): source is Pixels {
  return typeof source === 'object' && source !== null && kindOf((source as Partial<Pixels>).data) === 'Uint8ClampedArray';
}

async function bytesOf(source: unknown, kind: string, name: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  switch (kind) {
    case 'Uint8Array': {
      const { buffer, byteOffset, byteLength } = source as Uint8Array;
      return new Uint8Array(buffer, byteOffset, byteLength);
    }
    case 'ArrayBuffer':
      return new Uint8Array(source as ArrayBuffer);
    case 'Blob':
    case 'File':
      try {
        return new Uint8Array(await (source as Blob).arrayBuffer());
      } catch (error) {
        throw new PilotlightError('INVALID_INPUT', `${name}: the file cannot be read; it may have been moved or deleted`, error);
      }
    case 'String':
    case 'URL':
      return fetched(String(source), name, signal);
    default: {
      const expected = 'a Blob, bytes, a URL, ImageData, an ImageBitmap, or an img or canvas element';
      throw new PilotlightError('INVALID_INPUT', `${name}: expected ${expected}, got ${source === null ? 'null' : typeof source}`);
    }
  }
}

async function fetched(url: string, name: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { ...(signal && { signal }) });
    if (!response.ok) throw new PilotlightError('FETCH_FAILED', `${name}: the server answered ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (signal?.aborted) throw aborted(signal);
    if (error instanceof PilotlightError) throw error;
    throw new PilotlightError('FETCH_FAILED', `${name}: its URL cannot be fetched: is it right, and does that server allow this page to read it?`, error);
  }
}

async function decodedByBrowser(bytes: Uint8Array, name: string): Promise<Pixels> {
  if (typeof createImageBitmap !== 'function') throw new PilotlightError('BACKEND_UNAVAILABLE', `${name}: this runtime has no decoder of its own; leave out decoder: 'browser'`);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as BlobPart]));
  } catch (error) {
    throw new PilotlightError('INVALID_INPUT', `${name}: the browser cannot decode the picture`, error);
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
    throw new PilotlightError('INVALID_INPUT', `${name}: the img element has not loaded its picture; await its decode() first`);
  }
  const { width, height } = element ? { width: element.naturalWidth, height: element.naturalHeight } : source;
  if (width * height === 0) throw new PilotlightError('INVALID_INPUT', `${name}: the picture has ${width} x ${height} pixels; an ImageBitmap may have been closed`);
  if (width * height > MOST_PIXELS) {
    throw new PilotlightError('RESOURCE_LIMIT', `${name}: the picture has ${width} x ${height} pixels, expected ${MOST_PIXELS} in all at most`);
  }
  const context = canvasOf(width, height, name).getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D | null;
  if (!context) throw new PilotlightError('RESOURCE_LIMIT', `${name}: there is no canvas of ${width} x ${height} pixels to be had`);
  context.drawImage(source, 0, 0);
  try {
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    throw new PilotlightError('INVALID_INPUT', `${name}: it comes from another server, so the browser does not hand out its pixels; give its URL or bytes instead`, error);
  }
}

function canvasOf(width: number, height: number, name: string): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(width, height);
  if (typeof document === 'undefined') throw new PilotlightError('BACKEND_UNAVAILABLE', `${name}: this runtime has no canvas; give the picture's bytes`);
  return Object.assign(document.createElement('canvas'), { width, height });
}
