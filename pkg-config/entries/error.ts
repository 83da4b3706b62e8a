import type { ErrorCode, PilotlightError as PublicPilotlightError } from '../types/index.js';

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

/** The same in every script of the package, each of which has a class of its own: one knows the others' errors. */
const BRAND = Symbol.for('pilotlight.error');

/** The one error class that leaves the package. */
export class PilotlightError extends Error implements PublicPilotlightError {
  override readonly name = 'PilotlightError';
  readonly code: ErrorCode;
  readonly needed?: number;
  readonly available?: number;

  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && BRAND in value;
  }

  constructor(
    code: ErrorCode,
    message: string,
    cause?: unknown,
    { needed, available }: { needed?: number; available?: number } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    Object.defineProperty(this, BRAND, { value: true });
    this.code = code;
    if (needed !== undefined) this.needed = needed;
    if (available !== undefined) this.available = available;
  }
}

/** What Rust, the runtime or a user's callback threw, as a `PilotlightError`. */
export function toPilotlightError(thrown: unknown): PilotlightError {
  if (thrown instanceof PilotlightError) return thrown;
  const { code, name, message, cause, ...room } = pick(thrown);
  const words = typeof message === 'string' && message !== '' ? message : String(thrown);
  // `AbortSignal.timeout()` gives a TimeoutError.
  if (name === 'AbortError' || name === 'TimeoutError') return new PilotlightError('ABORTED', words, thrown);
  const known = CODES.find((candidate) => candidate === code);
  return known ? new PilotlightError(known, words, cause, room) : new PilotlightError('INTERNAL', words, thrown);
}

type Thrown = Record<'code' | 'name' | 'message' | 'cause', unknown> & { needed?: number; available?: number };

/** By name: an Error's message is not among its own enumerable properties. */
function pick(thrown: unknown): Thrown {
  const { code, name, message, cause, needed, available } = Object(thrown) as Thrown;
  return {
    code,
    name,
    message,
    cause,
    ...(needed !== undefined && { needed }),
    ...(available !== undefined && { available }),
  };
}
