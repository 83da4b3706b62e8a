import type { LoadOptions } from '../../types/index.js';
import type { Backend } from '../core/backend.js';
import type { Glue } from '../core/glue.js';
import type { Instance } from '../core/instance.js';
import { PilotlightError } from '../error.js';
import type { Spawn } from '../runtime/spawn.js';
import { pageLocks } from '../storage/locks.js';
import { Peer, type Port } from './peer.js';
import { type Member, Pool } from './pool.js';
import { workersFor } from './workers.js';

/** The description of a handle that a worker has made. */
export interface RemoteHandle {
  ref: number;
  /** The values of its properties; they never change. */
  facts: Record<string, unknown>;
  methods: string[];
  /** Bytes of WebAssembly memory that the worker takes. */
  memoryBytes: number;
}

/** The functions of a worker, as its page calls them. */
export interface WorkerFunctions {
  start(options: object, code: { wasm: unknown; webgpuGlue: string }, page: PageNames): Promise<Backend['report']>;
  ping(): void;
  /** `main` is false in further workers of a pool, which leave the refresh of the store to the first. */
  load(handle: string, args: unknown[], main: boolean): Promise<RemoteHandle>;
  call(ref: number, method: string, args: unknown[]): Promise<unknown>;
  free(ref: number): Promise<void>;
}

/** Names of locks: that which the worker holds as long as it lives, and the prefix of those that the workers of one page share. */
export interface PageNames {
  lifeline: string;
  prefix: string;
}

/** A started worker and the way to end it. */
export interface WorkerPort extends Port {
  terminate(): void;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
}

/** Milliseconds without a word after which a worker counts as gone, where the browser has no locks that tell. */
const SILENCE = 60_000;

/** Milliseconds that a worker has to complete what it writes to the store after its last model was disposed of. */
const LAST_WRITES = 5000;

/**
 * A core in a worker of its own, which a page uses as if it were here: the classes of its glue load there, and give handles whose methods
 * are calls to the worker. The worker ends when its last handle is freed, which gives its memory back.
 */
export class RemoteInstance implements Instance {
  readonly remote = true;
  readonly #port: WorkerPort;
  readonly #peer: Peer;
  readonly #glue: Glue;
  readonly #spawn: Spawn;
  readonly #webgpuGlue: () => string;
  /** The options and the code that the worker was started with, and further ones are. */
  #given: { options: LoadOptions; wasm: unknown } = { options: {}, wasm: undefined };
  /** Handles in the worker that were not freed. */
  #handles = 0;
  #ended = false;
  /** Whether the worker runs, so that a model may have been in it. */
  #started = false;
  /** Held by the worker as long as it lives: no event tells of a worker that the browser ended. */
  readonly #lifeline = `pilotlight-worker-${crypto.randomUUID?.() ?? Math.random()}`;
  readonly #watch = new AbortController();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `spawn` starts further workers, and `webgpuGlue` tells where the glue of the WebGPU core is. */
  constructor(port: WorkerPort, spawn: Spawn, webgpuGlue: () => string) {
    this.#webgpuGlue = webgpuGlue;
    this.#port = port;
    this.#spawn = spawn;
    this.#peer = new Peer(port, {});
    port.onerror = (event) => {
      event.preventDefault();
      this.#fail(`the worker failed: ${event.message || 'its script could not be loaded'}`);
    };
    port.onmessageerror = () => this.#fail('a message of the worker could not be read');
    this.#glue = this.#makeGlue();
  }

  /** Chooses the backend there. @throws {PilotlightError} also where the worker could not be started */
  async start(options: LoadOptions, wasm: unknown): Promise<Backend['report']> {
    const { device, dtype } = options;
    const names: PageNames = { lifeline: this.#lifeline, prefix: pageLocks.prefix };
    try {
      const given = [{ device, dtype }, { wasm, webgpuGlue: this.#webgpuGlue() }, names];
      const report = (await this.#peer.call('start', given)) as Backend['report'];
      // Further workers take what the first one chose.
      this.#given = { options: { ...options, device: report.device, dtype: report.dtype }, wasm };
      this.#started = true;
      this.#watchLife();
      return report;
    } catch (error) {
      this.terminate();
      throw error;
    }
  }

  /** Calls with the glue of the worker, as `CoreInstance.run` does. */
  async run<T>(call: (glue: Glue) => T | Promise<T>): Promise<T> {
    return call(this.#glue);
  }

  terminate(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watch.abort();
    clearInterval(this.#timer);
    this.#port.terminate();
    this.#peer.end(new PilotlightError('INTERNAL', 'the worker has ended; load again'));
  }

  #watchLife(): void {
    const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
    if (!locks) {
      this.#timer = setInterval(() => {
        if (!this.#peer.isWaiting) return;
        if (Date.now() - this.#peer.heard > SILENCE) this.#fail('the worker does not answer');
        else this.#peer.call('ping', []).catch(() => {});
      }, SILENCE / 6);
      return;
    }
    locks
      .request(this.#lifeline, { signal: this.#watch.signal }, () => this.#fail('the worker was ended'))
      .catch(() => {});
  }

  abandon(): void {
    if (this.#handles === 0) this.terminate();
  }

  /** Ends the worker, and rejects all calls with the reason. */
  #fail(reason: string): void {
    this.#peer.end(new PilotlightError('INTERNAL', this.#started ? `${reason}; load again` : reason));
    this.terminate();
  }

  /** The glue's classes, of which only `load` is used. */
  #makeGlue(): Glue {
    const classOf = (name: string) => ({ load: (...args: unknown[]) => this.#load(name, args) });
    return new Proxy({} as Glue, { get: (_, name) => classOf(String(name)) });
  }

  /** Loads a model, and gives a handle like those of the glue. */
  async #load(name: string, args: readonly unknown[]): Promise<unknown> {
    const first = await this.member(name, args, true);
    const limit = workersFor(this.#given.options, first.memoryBytes);
    const pool = new Pool(name, first, limit, () => this.#hire(name, args));
    const calls = first.methods.map((method) => [method, (...given: unknown[]) => pool.call(method, given)]);
    return { ...first.facts, ...Object.fromEntries(calls), free: () => pool.free() };
  }

  /** Loads a model in this worker. */
  async member(name: string, args: readonly unknown[], main: boolean): Promise<Member & RemoteHandle> {
    this.#handles += 1;
    try {
      const handle = (await this.#peer.call('load', [name, args, main], true)) as RemoteHandle;
      const { ref } = handle;
      return {
        ...handle,
        call: (method, given) => this.#peer.call('call', [ref, method, given]),
        free: () => {
          const freed = this.#peer.call('free', [ref]).catch(() => {});
          const late = new Promise((resolve) => setTimeout(resolve, LAST_WRITES));
          void Promise.race([freed, late]).then(() => this.#leave());
        },
      };
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Starts a further worker with the same model, which reports no progress. */
  async #hire(name: string, args: readonly unknown[]): Promise<Member> {
    const { options, wasm } = this.#given;
    const remote = this.#spawn();
    if (typeof remote !== 'object') throw new PilotlightError('BACKEND_UNAVAILABLE', String(remote));
    await remote.start(options, wasm);
    const { signal: _, onProgress: __, ...quiet } = args.at(-1) as LoadOptions;
    return remote.member(name, [...args.slice(0, -1), quiet], false);
  }

  #leave(): void {
    this.#handles -= 1;
    if (this.#handles === 0) this.terminate();
  }
}
