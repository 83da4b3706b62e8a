import { PilotlightError } from '../error.js';
import { watchLife } from './life.js';
import { Peer } from './peer.js';
import type { WorkerPort } from './remote-instance.js';

/** The core that threads have in common. */
export interface SharedCode {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  /** The address of the core's glue. */
  glue: string;
}

/** A further thread of a worker's core, which is a worker of the page too: the one that computes hears of nothing while it waits for its parts. */
export class Helper {
  readonly #port: WorkerPort;
  readonly #peer: Peer;
  readonly #ended = new AbortController();
  readonly #fail: (reason: string) => void;

  /** `fail` is called where the thread ends without `terminate`, whichever way. */
  constructor(port: WorkerPort, fail: (reason: string) => void) {
    this.#port = port;
    this.#peer = new Peer(port, {});
    this.#fail = (reason) => {
      if (this.#ended.signal.aborted) return;
      this.terminate();
      fail(reason);
    };
    port.onerror = (event) => {
      event.preventDefault?.();
      this.#fail(`a thread failed: ${event.message || 'its script could not be loaded'}`);
    };
    port.onmessageerror = () => this.#fail('a message of a thread could not be read');
  }

  /** Starts the core in it, and has it compute from then on. @throws {PilotlightError} */
  async start(code: SharedCode): Promise<void> {
    const life = await watchLife(this.#peer);
    if (!life) throw new PilotlightError('BACKEND_UNAVAILABLE', 'a thread gets no locks, which would tell of its end');
    void life(this.#ended.signal).then(
      () => this.#fail('a thread was ended'),
      () => {},
    );
    await this.#peer.call('join', [code]);
    // This call never ends, unless the core traps in it.
    this.#peer.call('help', []).catch((error: Error) => this.#fail(`a thread failed: ${error.message}`));
  }

  terminate(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#port.terminate();
    this.#peer.end(new PilotlightError('INTERNAL', 'the thread has ended'));
  }
}
