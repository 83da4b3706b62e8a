import type { LoadOptions } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { type BlobLike, BlobReader, type ByteReader, bytesIn, MemoryReader, StreamReader } from './byte-reader.js';
import { bytesOf, has, isBytes, kindOf } from './foreign.js';

/** A file as WebAssembly reads it, whatever kind of source the caller gave. */
export interface ByteSource {
  /** The size in bytes, where it is known. */
  readonly size?: number;
  /** Whether it can be opened only once, at byte 0. */
  readonly once: boolean;
  /** Opens the file at byte `from`. */
  open(from: number): ByteReader;
}

/** The properties of a `Response` of any realm, or of an object of R2. */
export interface BodyLike {
  readonly ok?: boolean;
  readonly status?: number;
  readonly size?: number;
  readonly url?: unknown;
  readonly body?: unknown;
  readonly bodyUsed?: boolean;
}

/** Wraps the caller's files. Values are recognized by their methods, not by class: another realm, or a library, has classes of its own. */
export function sourcesOf(files: LoadOptions['files'], signal: AbortSignal | undefined): unknown {
  // WebAssembly reports what is wrong with it.
  if (typeof files !== 'object' || files === null) return files;
  return Object.fromEntries(Object.entries(files).map(([name, value]) => [name, value && sourceOf(value, signal)]));
}

/** Whether a file can be read only once. */
export const isReadOnce = (value: unknown): boolean => !isBlob(value) && (isBody(value) || isStream(value));

function sourceOf(value: unknown, signal: AbortSignal | undefined): ByteSource {
  if (isBytes(value)) {
    try {
      const { length } = viewOf(value);
      return { size: length, once: false, open: (from) => new MemoryReader(viewOf(value).subarray(from)) };
    } catch (error) {
      return failing(error);
    }
  }
  if (isBlob(value)) return { size: value.size, once: false, open: (from) => new BlobReader(value, from) };
  if (isBody(value)) {
    const { size } = value;
    return { ...(typeof size === 'number' && { size }), ...once(() => openBody(value, signal)) };
  }
  if (isStream(value)) return once(() => new StreamReader(value, signal));
  const expected = 'a Uint8Array, ArrayBuffer, Blob, Response or ReadableStream';
  return failing(new PilotlightError('INVALID_INPUT', `is ${kindOf(value)}, expected ${expected}`));
}

/** A view of the caller's bytes. @throws {PilotlightError} `INVALID_INPUT` where their buffer was transferred */
function viewOf(value: unknown): Uint8Array {
  try {
    // `subarray` throws where the buffer was transferred; the view itself would only seem to be empty.
    return (bytesOf(value) as Uint8Array).subarray();
  } catch (error) {
    throw new PilotlightError('INVALID_INPUT', 'its bytes were transferred to somebody else', error);
  }
}

/** A source that cannot be read. It throws only when the file is opened: a file that is not needed is no error. */
const failing = (error: unknown): ByteSource =>
  once(() => {
    throw error;
  });

function once(open: () => ByteReader): ByteSource {
  let opened = false;
  return {
    once: true,
    open() {
      if (opened) throw new PilotlightError('INVALID_INPUT', 'it can be read once only, and was read before');
      opened = true;
      return open();
    },
  };
}

/**
 * Opens the body of a response.
 * @throws {PilotlightError} `INVALID_INPUT` where there is no body or it was read, `FETCH_FAILED` where the status is no success
 */
export function openBody(response: BodyLike, signal: AbortSignal | undefined): ByteReader {
  const { ok, status, url, body } = response;
  if (ok === false) {
    const details = status === undefined ? {} : { status, reason: 'status' as const };
    throw new PilotlightError('FETCH_FAILED', `its Response${hostIn(url)} has status ${status}`, undefined, details);
  }
  if (response.bodyUsed) throw new PilotlightError('INVALID_INPUT', 'its Response was read before');
  if (isStream(body)) return new StreamReader(body, signal);
  // Some polyfills of fetch do not stream.
  if (body === undefined && isWhole(response)) {
    return new MemoryReader(() => bytesIn(response));
  }
  throw new PilotlightError('INVALID_INPUT', 'its Response has no body');
}

/** The host of an address, which may be signed: nothing else of it may be in a message. */
function hostIn(url: unknown): string {
  const host = typeof url === 'string' ? /^https?:\/\/(?:[^/?#@]*@)?([^/?#]+)/.exec(url)?.[1] : undefined;
  return host === undefined ? '' : ` from ${host}`;
}

const isBlob = (value: unknown): value is BlobLike =>
  has(value, 'arrayBuffer') && typeof (value as Partial<BlobLike>).size === 'number' && !('body' in value);

const isBody = (value: unknown): value is BodyLike =>
  typeof value === 'object' && value !== null && ('body' in value || (has(value, 'arrayBuffer') && 'status' in value));

const isWhole = (value: unknown): value is Pick<BlobLike, 'arrayBuffer'> => has(value, 'arrayBuffer');

const isStream = (value: unknown): boolean => has(value, 'getReader') || has(value, Symbol.asyncIterator);
