/** Waits for promises, which go on by themselves, for a time or for as long as a client is there. */
import { clientClosed } from './http/errors.ts';

/**
 * Waits for a promise for at most `ms` milliseconds.
 * @throws what `late` makes, where it takes longer
 */
export async function inTime<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits for a promise until the signal of a client aborts.
 * @throws {GatewayError} `client_closed`
 */
export async function untilLeft<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(clientClosed());
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  try {
    return await Promise.race([promise, left]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
