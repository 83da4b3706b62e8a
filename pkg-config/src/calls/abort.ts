import { PilotlightError } from '../error.js';

/** The error of a call whose signal has fired. */
export function aborted(signal: AbortSignal): PilotlightError {
  return new PilotlightError('ABORTED', 'the call was aborted', signal.reason);
}

/** Settles as `work` does, but rejects at once when the signal fires; `work` itself is not stopped. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(aborted(signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Settles as `work` does, and calls `stop` if the signal has fired or fires meanwhile. */
export async function stoppedBy<T>(
  signal: AbortSignal | undefined,
  stop: () => void,
  work: () => Promise<T>,
): Promise<T> {
  signal?.addEventListener('abort', stop, { once: true });
  try {
    if (signal?.aborted) stop();
    return await work();
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The `signal` of an options object, checked; `undefined` where there is none. */
export function signalOf(options: object): AbortSignal | undefined {
  const { signal } = options as { signal?: unknown };
  if (signal === undefined || signal === null) return undefined;
  if (typeof AbortSignal === 'function' && signal instanceof AbortSignal) return signal;
  throw new PilotlightError('INVALID_INPUT', `signal: expected an AbortSignal, got ${typeof signal}`);
}
