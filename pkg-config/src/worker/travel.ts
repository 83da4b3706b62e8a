import { Caller } from '../calls/caller.js';
import { decodeWith, sourceOfDecoder } from '../core/image-decoder.js';
import { coreGone, type ErrorDetails, isCoreGone, PilotlightError, toPilotlightError } from '../error.js';
import { has } from '../inputs/foreign.js';
import { isMemoryStore, markMemoryStore } from '../storage/memory-store.js';

/**
 * Encodes the values that a page and its worker send each other. Values that structured cloning takes go as they are; functions, signals,
 * stores, streams and blobs of other kinds stay where they are, and the other side gets a reference by which it calls them. A decoder of
 * images is made anew at the other side, which gets its code from this one.
 */

/** Makes references to functions and signals of this side. */
export interface References {
  /** Lends a function. `stop` releases what it reads from, when the other side is gone or the call is over. */
  function(call: (...args: never[]) => unknown, stop?: () => void): number;
  signal(signal: AbortSignal): number;
}

/** Makes functions and signals of the other side's references. */
export interface Stubs {
  function(ref: number): (...args: unknown[]) => Promise<unknown>;
  signal(ref: number, aborted: boolean): AbortSignal;
}

/** The properties of a body: those of a `Response`, or of an object of R2. */
interface Body {
  ok?: boolean;
  status?: number;
  size?: number;
  bodyUsed?: boolean;
}

/** A value that is sent in place of one that cannot be cloned. */
type Reference =
  | { $pilotlight: 'function' | 'decoder'; ref: number }
  | { $pilotlight: 'signal'; ref: number; aborted: boolean }
  | { $pilotlight: 'store'; methods: Record<string, number>; isMemory: boolean }
  | { $pilotlight: 'stream'; ref: number }
  | { $pilotlight: 'blob'; ref: number; size: number }
  | { $pilotlight: 'body'; ref: number | undefined; body: Body }
  | { $pilotlight: 'error'; failure: Failure }
  /** An object of the program's own that has the key by which references are known. */
  | { $pilotlight: 'entries'; entries: unknown };

/** The methods of `Store`; a program's own store may be an object of any class. */
const STORE = ['get', 'put', 'delete', 'keys'] as const;

/** The part of a blob that is read; blobs of other realms and of libraries have it too. */
interface BlobLike {
  readonly size: number;
  slice?(from: number, to: number): BlobLike;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Replaces what cannot be cloned by references. */
export function encode(value: unknown, to: References): unknown {
  if (typeof value === 'function') {
    const code = sourceOfDecoder(value);
    return code
      ? refer({ $pilotlight: 'decoder', ref: to.function(code) })
      : refer({ $pilotlight: 'function', ref: to.function(value as () => unknown) });
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof AbortSignal)
    return refer({ $pilotlight: 'signal', ref: to.signal(value), aborted: value.aborted });
  if (value instanceof Caller) return undefined;
  if (value instanceof Error) return refer({ $pilotlight: 'error', failure: failureOf(value) });
  if (Array.isArray(value)) return value.map((item) => encode(item, to));
  // Cloning a view of a part would copy the rest of its buffer along.
  if (ArrayBuffer.isView(value)) return isPart(value) ? value.slice() : value;
  if (value instanceof Blob) return value;
  if (STORE.every((name) => has(value, name))) return encodeStore(value, to);
  if (isStream(value)) return encodeStream(value, to);
  if (has(value, 'arrayBuffer') && typeof (value as Partial<BlobLike>).size === 'number' && !('body' in value))
    return encodeBlob(value as unknown as BlobLike, to);
  if (!isPlain(value)) return isBody(value) ? encodeBody(value, to) : value;
  const entries = Object.entries(value).map(([key, item]) => [key, encode(item, to)]);
  return '$pilotlight' in value ? refer({ $pilotlight: 'entries', entries }) : Object.fromEntries(entries);
}

/** Makes of references what calls the other side. */
export function decode(value: unknown, from: Stubs): unknown {
  if (Array.isArray(value)) return value.map((item) => decode(item, from));
  if (!isPlain(value)) return value;
  if (!('$pilotlight' in value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item, from)]));
  const reference = value as Reference;
  switch (reference.$pilotlight) {
    case 'function':
      return from.function(reference.ref);
    case 'decoder':
      return decodeWith(from.function(reference.ref));
    case 'signal':
      return from.signal(reference.ref, reference.aborted);
    case 'store': {
      const methods = Object.entries(reference.methods).map(([name, ref]) => [name, from.function(ref)]);
      const store = Object.fromEntries(methods) as object;
      return reference.isMemory ? markMemoryStore(store) : store;
    }
    case 'stream':
      return streamOf(from.function(reference.ref));
    case 'blob':
      return blobOf(from.function(reference.ref), 0, reference.size);
    case 'body': {
      const { ref, body } = reference;
      return { ...body, body: ref === undefined ? null : streamOf(from.function(ref)) };
    }
    case 'error':
      return errorOf(reference.failure);
    case 'entries':
      return Object.fromEntries((decode(reference.entries, from) as [string, unknown][]) ?? []);
  }
}

/** The buffers in an answer, which its receiver owns. */
export function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer && !isPart(value)) found.add(value.buffer);
  } else if (Array.isArray(value)) {
    if (typeof value[0] === 'object') for (const item of value) buffersIn(item, found);
  } else if (isPlain(value)) {
    for (const item of Object.values(value)) buffersIn(item, found);
  }
  return found;
}

/** An error as it travels: cloning would keep neither its class nor its details. */
export interface Failure {
  code: PilotlightError['code'];
  message: string;
  cause: unknown;
  details: ErrorDetails;
  /** Whether the core that computed the call can compute nothing any more. */
  isGone?: true;
  /** The name of an error that is not the package's own, such as `QuotaExceededError` of a program's store. */
  name?: string;
}

/** `isLent`: whether a function of the program threw it, whose errors are known by their names. */
export function failureOf(thrown: unknown, isLent = false): Failure {
  const { code, message, cause, needed, available, status, reason, file, tensor } = toPilotlightError(thrown);
  const known = Object.entries({ needed, available, status, reason, file, tensor }).filter(
    ([, value]) => value !== undefined,
  );
  const { name } = Object(thrown) as { name?: unknown };
  const isForeign = isLent && !(thrown instanceof PilotlightError) && typeof name === 'string';
  return {
    code,
    message,
    cause: cloneable(cause),
    details: Object.fromEntries(known) as ErrorDetails,
    ...(isCoreGone(thrown) && { isGone: true }),
    ...(isForeign && { name }),
  };
}

export function errorOf({ code, message, cause, details, isGone, name }: Failure): Error {
  if (isGone) return coreGone(code, message, cause);
  if (name === undefined) return new PilotlightError(code, message, cause, details);
  return Object.assign(new Error(message), { name });
}

/** A cause that cannot be cloned travels as its words. */
function cloneable(cause: unknown): unknown {
  if (cause === undefined) return undefined;
  try {
    return structuredClone(cause);
  } catch {
    return String(cause);
  }
}

const refer = (reference: Reference): Reference => reference;

function encodeStore(value: object, to: References): Reference {
  const store = value as Record<string, (...args: unknown[]) => unknown>;
  const methods = STORE.map((name) => [name, to.function((...args) => store[name]?.(...args))] as const);
  return { $pilotlight: 'store', methods: Object.fromEntries(methods), isMemory: isMemoryStore(value) };
}

function encodeStream(stream: Streamed, to: References): Reference {
  const { read, stop } = reader(stream);
  return { $pilotlight: 'stream', ref: to.function(read, stop) };
}

function encodeBlob(blob: BlobLike, to: References): Reference {
  let whole: Promise<ArrayBuffer> | undefined;
  const read = async (from: number, until: number): Promise<Uint8Array> => {
    if (blob.slice) return new Uint8Array(await blob.slice(from, until).arrayBuffer());
    whole ??= blob.arrayBuffer();
    return new Uint8Array(await whole).slice(from, until);
  };
  return { $pilotlight: 'blob', ref: to.function(read), size: blob.size };
}

function encodeBody(value: object, to: References): Reference {
  const { ok, status, size, bodyUsed, body } = value as Body & { body?: unknown };
  const told = { ok, status, size, bodyUsed };
  const known = Object.fromEntries(Object.entries(told).filter(([, property]) => property !== undefined)) as Body;
  if (bodyUsed) return { $pilotlight: 'body', ref: undefined, body: known };
  if (isStream(body)) {
    const { read, stop } = reader(body);
    return { $pilotlight: 'body', ref: to.function(read, stop), body: known };
  }
  if (body !== undefined || !has(value, 'arrayBuffer')) return { $pilotlight: 'body', ref: undefined, body: known };
  // Some polyfills of fetch do not stream.
  let isRead = false;
  const read = async (): Promise<Uint8Array | undefined> => {
    if (isRead) return undefined;
    isRead = true;
    return new Uint8Array(await (value as unknown as BlobLike).arrayBuffer());
  };
  return { $pilotlight: 'body', ref: to.function(read), body: known };
}

/** A stream of any realm, or another source of pieces. */
type Streamed = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

const isBody = (value: object): boolean => 'body' in value || (has(value, 'arrayBuffer') && 'status' in value);

const isStream = (value: unknown): value is Streamed => has(value, 'getReader') || has(value, Symbol.asyncIterator);

/** Reads a stream in pieces: streams cannot be transferred in every browser. */
function reader(stream: Streamed): { read: (stop?: boolean) => Promise<Uint8Array | undefined>; stop: () => void } {
  let next: (() => Promise<{ done?: boolean | undefined; value?: Uint8Array | undefined }>) | undefined;
  let end: () => unknown = () => (has(stream, 'cancel') ? (stream as ReadableStream).cancel() : undefined);
  const open = (): NonNullable<typeof next> => {
    if (has(stream, 'getReader')) {
      const opened = (stream as ReadableStream<Uint8Array>).getReader();
      end = () => opened.cancel();
      return () => opened.read();
    }
    const iterator = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    end = () => iterator.return?.();
    return () => iterator.next();
  };
  const stop = (): void => void Promise.resolve(end()).catch(() => {});
  return {
    async read(isOver) {
      if (isOver) {
        stop();
        return undefined;
      }
      next ??= open();
      const { done, value } = await next();
      return done ? undefined : value;
    },
    stop,
  };
}

function streamOf(read: (stop?: boolean) => Promise<unknown>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = (await read()) as Uint8Array | undefined;
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
      cancel: () => void read(true),
    },
    { highWaterMark: 0 },
  );
}

function blobOf(read: (from: number, until: number) => Promise<unknown>, from: number, until: number): BlobLike {
  return {
    size: until - from,
    slice: (start, end) => blobOf(read, from + start, Math.min(from + end, until)),
    arrayBuffer: async () => ((await read(from, until)) as Uint8Array<ArrayBuffer>).buffer,
  };
}

/** Whether a view shows a part of its buffer. */
const isPart = (view: ArrayBufferView): view is Uint8Array =>
  view.byteLength < view.buffer.byteLength && has(view, 'slice');

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
