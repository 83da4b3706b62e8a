import type * as Api from '../types/index.js';
import type { ErrorCode, FetchReason } from '../types/index.js';

const CODES: readonly ErrorCode[] = [
  'INVALID_INPUT',
  'INVALID_WEIGHTS',
  'UNSUPPORTED_MODEL',
  'RESOURCE_LIMIT',
  'FETCH_FAILED',
  'INTEGRITY',
  'QUOTA_EXCEEDED',
  'BACKEND_UNAVAILABLE',
  'ABORTED',
  'DISPOSED',
  'INTERNAL',
];

/** A symbol that is the same in every script of the package. Each script has an error class of its own, and knows the others' errors by it. */
const BRAND = Symbol.for('pilotlight.error');

/** The mark of an error whose core is gone, for the same reason the same in every script. */
const GONE = Symbol.for('pilotlight.core-gone');

/** The one error class that leaves the package. */
export class PilotlightError extends Error implements Api.PilotlightError {
  override readonly name = 'PilotlightError';
  readonly code: ErrorCode;
  // Declared, not defined, so that unknown details are absent.
  declare readonly needed?: number;
  declare readonly available?: number;
  declare readonly status?: number;
  declare readonly reason?: FetchReason;
  declare readonly file?: string;
  declare readonly tensor?: string;

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && BRAND in value;
  }

  constructor(code: ErrorCode, message: string, cause?: unknown, details: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    Object.defineProperty(this, BRAND, { value: true });
    this.code = code;
    Object.assign(this, detailsIn(details));
  }
}

/** Turns what Rust, the runtime or a user's callback threw into a `PilotlightError`. */
export function toPilotlightError(thrown: unknown): PilotlightError {
  if (thrown instanceof PilotlightError) return thrown;
  // The properties are read by name: an Error's message is not enumerable.
  const { code, name, message, cause } = Object(thrown) as Record<'code' | 'name' | 'message' | 'cause', unknown>;
  const words = typeof message === 'string' && message !== '' ? message : String(thrown);
  // `AbortSignal.timeout()` gives a TimeoutError.
  if (name === 'AbortError' || name === 'TimeoutError') return new PilotlightError('ABORTED', words, thrown);
  const known = CODES.find((candidate) => candidate === code);
  return known
    ? new PilotlightError(known, words, cause, Object(thrown) as ErrorDetails)
    : new PilotlightError('INTERNAL', words, thrown);
}

/** The error of a call whose core is gone with all its models: it trapped, its GPU failed, or its worker ended. */
export function coreGone(code: ErrorCode, message: string, cause?: unknown): PilotlightError {
  return Object.defineProperty(new PilotlightError(code, message, cause), GONE, { value: true });
}

export const isCoreGone = (error: unknown): error is PilotlightError => error instanceof Error && GONE in error;

const DETAILS = ['needed', 'available', 'status', 'reason', 'file', 'tensor'] as const;

/** The details of an error that programs can read beside its code, where they are known. */
export type ErrorDetails = Pick<Api.PilotlightError, (typeof DETAILS)[number]>;

function detailsIn(thrown: ErrorDetails): ErrorDetails {
  return Object.fromEntries(DETAILS.filter((name) => thrown[name] !== undefined).map((name) => [name, thrown[name]]));
}
