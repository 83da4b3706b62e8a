/** Runs a server process from its start to a signal to stop. */
import { readSettings, type Settings } from '../settings.ts';

/** A gateway in a process of its own. */
export interface Running {
  /** Answers a request that came from an address. */
  fetch(request: Request, address: string): Promise<Response>;
  /** Waits for work that has begun, for `drainMs` milliseconds at most, and closes databases. */
  close(drainMs: number): Promise<void>;
}

/** A server that accepts connections. */
export interface Listener {
  /** The address at which clients reach it. */
  url: string;
  /** Accepts no more connections, and resolves when the requests that were under way have ended. */
  close(): Promise<void>;
}

export type Listen = (gateway: Running, settings: Settings) => Promise<Listener>;

/**
 * Runs a gateway until a signal to stop comes: SIGTERM, as platforms send it, or SIGINT. Where it cannot start, it prints the reason, and the
 * process ends with 1.
 */
export async function serve(open: (settings: Settings) => Promise<Running>, listen: Listen): Promise<void> {
  let gateway: Running | undefined;
  try {
    const settings = readSettings(process.env);
    gateway = await open(settings);
    const listener = await listen(gateway, settings);
    say(settings, { message: 'listening', url: listener.url });
    untilSignal(gateway, listener, settings);
  } catch (error) {
    console.error(JSON.stringify({ level: 'error', message: wordsOf(error) }));
    await gateway?.close(0);
    process.exit(1);
  }
}

function untilSignal(gateway: Running, listener: Listener, settings: Settings): void {
  let isStopping = false;
  const stop = async (signal: string) => {
    // A second Ctrl+C ends the wait. A second SIGTERM does not: platforms may send it to the process and to its group.
    if (isStopping && signal === 'SIGINT') process.exit(130);
    if (isStopping) return;
    isStopping = true;
    say(settings, { message: 'stopping', signal });
    const drainMs = settings.DRAIN_SECONDS * 1000;
    const start = Date.now();
    const ended = await within(
      drainMs,
      listener.close().then(() => true),
    );
    await gateway.close(Math.max(0, drainMs - (Date.now() - start)));
    say(settings, {
      message: ended ? 'stopped' : `stopped with requests that took more than ${settings.DRAIN_SECONDS} s`,
    });
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
}

/** The result of a promise, or undefined where it takes longer than `ms` milliseconds. */
export function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function say(settings: Settings, line: object): void {
  if (settings.LOG_LEVEL === 'info') console.log(JSON.stringify({ level: 'info', ...line }));
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The address of a listener, as one puts it into a browser. */
export function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
