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

/** The one error class that leaves the package. */
export class PilotlightError extends Error implements PublicPilotlightError {
  override readonly name = 'PilotlightError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** What Rust, the runtime or a user's callback threw, as a `PilotlightError`. */
export function toPilotlightError(thrown: unknown): PilotlightError {
  if (thrown instanceof PilotlightError) return thrown;
  const { code, name, message, cause } = Object(thrown) as Record<'code' | 'name' | 'message' | 'cause', unknown>;
  const words = typeof message === 'string' && message !== '' ? message : String(thrown);
  // `AbortSignal.timeout()` gives a TimeoutError.
  if (name === 'AbortError' || name === 'TimeoutError') return new PilotlightError('ABORTED', words, thrown);
  const known = CODES.find((candidate) => candidate === code);
  return known ? new PilotlightError(known, words, cause) : new PilotlightError('INTERNAL', words, thrown);
}
