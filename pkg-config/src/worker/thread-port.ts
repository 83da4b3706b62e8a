import type { Thread } from '../runtime/threads.js';
import type { WorkerPort } from './remote-instance.js';

/** A thread of Node, Deno or Bun as a `Worker` of a page. It keeps the process alive only while a call waits for its answer. */
export class ThreadPort implements WorkerPort {
  onmessage: WorkerPort['onmessage'] = null;
  onerror: WorkerPort['onerror'] = null;
  onmessageerror: WorkerPort['onmessageerror'] = null;
  onexit: (() => void) | null = null;
  readonly #thread: Thread;

  constructor(thread: Thread) {
    this.#thread = thread;
    thread.on('message', (data) => this.onmessage?.({ data }));
    thread.on('error', ({ message, code }: Error & { code?: string }) => this.onerror?.({ message, code }));
    thread.on('messageerror', () => this.onmessageerror?.());
    thread.on('exit', () => this.onexit?.());
    thread.unref();
  }

  postMessage(message: unknown, transfer: Transferable[]): void {
    this.#thread.postMessage(message, transfer);
  }

  terminate(): void {
    this.#thread.terminate();
  }

  ref(): void {
    this.#thread.ref();
  }

  unref(): void {
    this.#thread.unref();
  }
}
