import { Caller } from '../calls/caller.js';
import { type ErrorDetails, PilotlightError, toPilotlightError } from '../error.js';
import { has, tagOf } from '../inputs/foreign.js';

/**
 * How values travel between a page and its worker. What structured cloning takes goes as it is; functions, signals, stores and streams stay
 * where they are, and the other side gets a reference by which it calls them.
 */

/** Makes references to functions and signals of this side. */
export interface References {
  function(call: (...args: never[]) => unknown): number;
  signal(signal: AbortSignal): number;
}

/** Makes functions and signals of the other side's references. */
export interface Stubs {
  function(ref: number): (...args: unknown[]) => Promise<unknown>;
  signal(ref: number): AbortSignal;
}

/** A value that does not travel itself, in place of which this goes. */
interface Reference {
  /** Marks a reference; user data cannot have this key by accident. */
  $pilotlight: 'function' | 'signal' | 'methods' | 'stream' | 'response' | 'error';
  ref?: number;
  methods?: Record<string, number>;
  head?: { status: number; statusText: string; headers: [string, string][] };
  failure?: Failure;
}

/** The methods of `Store`; a program's own store may be an object of any class. */
const STORE = ['get', 'put', 'delete', 'keys'] as const;

/** Replaces what cannot be cloned by references. */
export function encode(value: unknown, to: References): unknown {
  if (typeof value === 'function') return reference('function', { ref: to.function(value as () => unknown) });
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof AbortSignal) return reference('signal', { ref: to.signal(value) });
  if (value instanceof Caller) return undefined;
  if (Array.isArray(value)) return value.map((item) => encode(item, to));
  if (value instanceof Error) return reference('error', { failure: failureOf(value) });
  if (has(value, 'getReader')) return reference('stream', { ref: to.function(reader(value as never)) });
  if (tagOf(value) === 'Response') return encodeResponse(value as Response, to);
  if (isPlain(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item, to)]));
  if (STORE.every((name) => has(value, name))) {
    const store = value as Record<string, (...args: unknown[]) => unknown>;
    const methods = STORE.map((name) => [name, to.function((...args) => store[name]?.(...args))] as const);
    return reference('methods', { methods: Object.fromEntries(methods) });
  }
  return value;
}

/** Makes of references what calls the other side. */
export function decode(value: unknown, from: Stubs): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => decode(item, from));
  if (!isPlain(value)) return value;
  if (!('$pilotlight' in value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item, from)]));
  const { $pilotlight: kind, ref = 0, methods = {}, head, failure } = value as unknown as Reference;
  switch (kind) {
    case 'function':
      return from.function(ref);
    case 'signal':
      return from.signal(ref);
    case 'methods':
      return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, from.function(method)]));
    case 'stream':
      return streamOf(from.function(ref));
    case 'response':
      return new Response(ref === 0 ? null : streamOf(from.function(ref)), head);
    case 'error':
      return failure && errorOf(failure);
  }
}

/** The buffers in an answer, which its receiver owns. */
export function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    // A view of a part would take the rest of its buffer along.
    if (value.buffer instanceof ArrayBuffer && value.byteLength === value.buffer.byteLength) found.add(value.buffer);
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
}

export function failureOf(thrown: unknown): Failure {
  const { code, message, cause, needed, available, status, reason, file, tensor } = toPilotlightError(thrown);
  const known = Object.entries({ needed, available, status, reason, file, tensor }).filter(
    ([, value]) => value !== undefined,
  );
  return { code, message, cause: cloneable(cause), details: Object.fromEntries(known) as ErrorDetails };
}

export function errorOf({ code, message, cause, details }: Failure): PilotlightError {
  return new PilotlightError(code, message, cause, details);
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

const reference = (kind: Reference['$pilotlight'], rest: Omit<Reference, '$pilotlight'>): Reference => ({
  $pilotlight: kind,
  ...rest,
});

function encodeResponse(response: Response, to: References): Reference {
  const { status, statusText, headers, body, bodyUsed } = response;
  // A Response of such a status cannot be made; the status is told by another that is an error too.
  const told = status >= 200 && status <= 599 ? status : 500;
  const head = { status: told, statusText, headers: [...headers] as [string, string][] };
  if (!body || bodyUsed) return reference('response', { head });
  return reference('response', { head, ref: to.function(reader(body)) });
}

/** Reads a stream in pieces: streams cannot be transferred in every browser. */
function reader(stream: ReadableStream<Uint8Array>): (stop?: boolean) => Promise<Uint8Array | undefined> {
  let opened: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return async (stop) => {
    opened ??= stream.getReader();
    if (stop) {
      await opened.cancel();
      return undefined;
    }
    const { done, value } = await opened.read();
    return done ? undefined : value;
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

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
