import type { LoadOptions } from '../../types/index.js';
import { stoppedBy } from '../calls/abort.js';
import type { Backend } from '../core/backend.js';
import type { Glue } from '../core/glue.js';
import type { Instance } from '../core/instance.js';
import { PilotlightError } from '../error.js';
import type { Spawn } from '../runtime/spawn.js';
import { type LentFunctions, LentLocks } from '../storage/lent-locks.js';
import { pageLocks, webLocks } from '../storage/locks.js';
import { Peer, type Port } from './peer.js';
import { type Member, Pool } from './pool.js';
import { type Device, workersFor } from './workers.js';

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
  /** Takes a lock that it holds as long as it lives, and returns whether it got it. */
  hold(lock: string | undefined): Promise<boolean>;
  ping(): void;
  load(handle: string, args: unknown[]): Promise<RemoteHandle>;
  call(ref: number, method: string, args: unknown[]): Promise<unknown>;
  /** Refreshes the store for a model that has answered. */
  refresh(ref: number): Promise<void>;
  /** Resolves when the refreshes of the store are over. */
  free(ref: number): Promise<void>;
}

/** The means by which a worker takes the locks that others of its program take. */
export interface PageNames {
  /** The beginning of the names of locks that the workers of one page share. */
  prefix: string;
  /** The locks of the thread that has started it, where threads share no others. */
  locks?: LentFunctions;
}

/** A started worker and the way to end it. */
export interface WorkerPort extends Port {
  terminate(): void;
  onerror: ((event: { message: string; code?: string | undefined; preventDefault?(): void }) => void) | null;
  onmessageerror: (() => void) | null;
  /** Called when it has ended; absent in browsers, where no event tells of it. */
  onexit?: (() => void) | null;
}

/** The runtime of the thread that has started a worker, as far as the worker's instance needs it. */
export interface WorkerHost {
  port: WorkerPort;
  /** Starts further workers. */
  spawn: Spawn;
  /** The address of the glue of the WebGPU core. */
  webgpuGlue(): string;
  device(): Device;
}

/** Milliseconds between two questions to a worker whether it lives, where the browser has no locks that tell. */
const PING = 2000;

/** The number of questions in a row without an answer after which a worker counts as gone: a large layer takes seconds on a slow device. */
const UNANSWERED = 5;

/** Milliseconds that a worker has to complete what it writes to the store after its last model was disposed of. */
const LAST_WRITES = 5000;

/**
 * A core in a worker of its own, which a page uses as if it were here: the classes of its glue load there, and give handles whose methods
 * are calls to the worker. The worker ends when its last handle is freed, which gives its memory back.
 */
export class RemoteInstance implements Instance {
  readonly remote = true;
  readonly #host: WorkerHost;
  readonly #peer: Peer;
  readonly #glue: Glue;
  /** The options and the code that the worker was started with, and further ones are. */
  #given: { options: LoadOptions; wasm: unknown } = { options: {}, wasm: undefined };
  /** Handles in the worker that were not freed. */
  #handles = 0;
  #ended = false;
  /** Whether the worker runs, so that a model may have been in it. */
  #started = false;
  /** Stops what watches the worker's life, and takes back what it was lent. */
  readonly #ends: (() => void)[] = [];

  constructor(host: WorkerHost) {
    this.#host = host;
    const { port } = host;
    this.#peer = new Peer(port, {});
    port.onerror = (event) => {
      event.preventDefault?.();
      const words = `the worker failed: ${event.message || 'its script could not be loaded'}`;
      this.#fail(words, event.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'RESOURCE_LIMIT' : 'INTERNAL');
    };
    port.onmessageerror = () => this.#fail('a message of the worker could not be read');
    if (this.#tellsItsEnd) port.onexit = () => this.#fail('the worker was ended');
    this.#glue = this.#makeGlue();
  }

  /** Chooses the backend there. @throws {PilotlightError} also where the worker could not be started */
  async start(options: LoadOptions, wasm: unknown): Promise<Backend['report']> {
    const { device, dtype } = options;
    if (!this.#tellsItsEnd) void this.#watch();
    try {
      const given = [{ device, dtype }, { wasm, webgpuGlue: this.#host.webgpuGlue() }, this.#means()];
      const report = (await this.#peer.call('start', given, true)) as Backend['report'];
      // Further workers take what the first one chose.
      this.#given = { options: { ...options, device: report.device, dtype: report.dtype }, wasm };
      this.#started = true;
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
    this.#host.port.terminate();
    this.#peer.end(new PilotlightError('INTERNAL', 'the worker has ended; load again'));
    for (const end of this.#ends) end();
  }

  /** Whether an event tells that the worker has ended. */
  get #tellsItsEnd(): boolean {
    return 'onexit' in this.#host.port;
  }

  #means(): PageNames {
    const { prefix } = pageLocks;
    if (!this.#tellsItsEnd && webLocks()) return { prefix };
    const lent = new LentLocks();
    this.#ends.push(() => lent.end());
    return { prefix, locks: lent.functions };
  }

  /** Watches the worker's life from when its script runs: by a lock that it holds, or by questions where it or this thread gets none. */
  async #watch(): Promise<void> {
    // A signal may have ended the worker before its start.
    if (this.#ended) return;
    const ended = new AbortController();
    this.#ends.push(() => ended.abort());
    const locks = webLocks();
    const lock = `pilotlight-worker-${Math.random()}`;
    try {
      const isHeld = await this.#peer.call('hold', [locks && lock]);
      if (locks && isHeld) {
        const release = await locks.take(lock, ended.signal);
        release();
        this.#fail('the worker was ended');
      }
    } catch {
      // The worker was ended by this thread, or the thread gets no locks.
    }
    if (!ended.signal.aborted) this.#ask();
  }

  /** Asks the worker whether it lives as long as calls wait. */
  #ask(): void {
    let unanswered = 0;
    let heard = this.#peer.heard;
    const timer = setInterval(() => {
      // Questions are counted, not milliseconds: a page may be suspended together with its workers.
      unanswered = this.#peer.isWaiting && heard === this.#peer.heard ? unanswered + 1 : 0;
      heard = this.#peer.heard;
      if (unanswered >= UNANSWERED) this.#fail('the worker does not answer');
      else if (this.#peer.isWaiting) this.#peer.call('ping', []).catch(() => {});
    }, PING);
    this.#ends.push(() => clearInterval(timer));
  }

  abandon(): void {
    if (this.#handles === 0) this.terminate();
  }

  /** Ends the worker, and rejects all calls with the reason. */
  #fail(reason: string, code: 'INTERNAL' | 'RESOURCE_LIMIT' = 'INTERNAL'): void {
    this.#peer.end(new PilotlightError(code, this.#started ? `${reason}; load again` : reason));
    this.terminate();
  }

  /** The glue's classes, of which only `load` is used. */
  #makeGlue(): Glue {
    const classOf = (name: string) => ({ load: (...args: unknown[]) => this.#load(name, args) });
    return new Proxy({} as Glue, { get: (_, name) => classOf(String(name)) });
  }

  /** Loads a model, and gives a handle like those of the glue. */
  async #load(name: string, args: readonly unknown[]): Promise<unknown> {
    // Models without a name, such as digits, are not in the store.
    const first = await this.member(name, args, args.length > 1);
    const limit = workersFor(this.#given.options, first.memoryBytes, this.#host.device);
    const pool = new Pool(name, first, limit, (signal) => this.#hire(name, args, signal));
    const calls = first.methods.map((method) => [method, (...given: unknown[]) => pool.call(method, given)]);
    return { ...first.facts, ...Object.fromEntries(calls), free: () => pool.free() };
  }

  /** Loads a model in this worker. `refreshes` says whether it refreshes the store after its first answer. */
  async member(name: string, args: readonly unknown[], refreshes: boolean): Promise<Member & RemoteHandle> {
    this.#handles += 1;
    try {
      const handle = (await this.#peer.call('load', [name, args], true)) as RemoteHandle;
      const { ref } = handle;
      let isDue = refreshes;
      return {
        ...handle,
        call: async (method, given) => {
          const value = await this.#peer.call('call', [ref, method, given]);
          // The refresh would delay the answer; and a process does not end as long as this call waits.
          if (isDue) this.#peer.call('refresh', [ref]).catch(() => {});
          isDue = false;
          return value;
        },
        free: () => {
          const freed = this.#peer.call('free', [ref]).catch(() => {});
          let timer: ReturnType<typeof setTimeout> | undefined;
          const late = new Promise<void>((resolve) => {
            timer = setTimeout(resolve, LAST_WRITES);
          });
          void Promise.race([freed, late]).then(() => {
            clearTimeout(timer);
            this.#leave();
          });
        },
      };
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Starts a further worker with the same model, which reports no progress. A signal that fires meanwhile ends it. */
  async #hire(name: string, args: readonly unknown[], ended: AbortSignal): Promise<Member> {
    const { options, wasm } = this.#given;
    const remote = await this.#host.spawn();
    if (typeof remote === 'string') throw new PilotlightError('BACKEND_UNAVAILABLE', remote);
    const { signal: _, onProgress: __, ...quiet } = args.at(-1) as LoadOptions;
    return stoppedBy(
      ended,
      () => remote.terminate(),
      async () => {
        await remote.start(options, wasm);
        return remote.member(name, [...args.slice(0, -1), quiet], false);
      },
    );
  }

  #leave(): void {
    this.#handles -= 1;
    if (this.#handles === 0) this.terminate();
  }
}
