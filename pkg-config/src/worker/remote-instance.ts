import type { Dtype, LoadOptions } from '../../types/index.js';
import { stoppedBy } from '../calls/abort.js';
import type { LoadRequest } from '../calls/load.js';
import type { Backend } from '../core/backend.js';
import type { Glue } from '../core/glue.js';
import type { Instance } from '../core/instance.js';
import { coreGone, isCoreGone, PilotlightError } from '../error.js';
import type { Spawn } from '../runtime/spawn.js';
import type { Glues } from '../runtime/worker.js';
import { type LentFunctions, LentLocks } from '../storage/lent-locks.js';
import { pageLocks, webLocks } from '../storage/locks.js';
import { Helper, type SharedCode } from './helper.js';
import { watchLife } from './life.js';
import { Peer, type Port } from './peer.js';
import { type Member, Pool } from './pool.js';
import { asksForThreads, planThreads, type ThreadPlan, threadsOfEach } from './threads.js';
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
  start(options: object, code: WorkerCode, page: PageNames): Promise<Backend['report']>;
  /** Takes a lock that it holds as long as it lives, and returns whether it got it. */
  hold(lock: string | undefined): Promise<boolean>;
  ping(): void;
  /** Compares its GPU with the CPU. */
  testGpu(dtype: Dtype): Promise<void>;
  load(handle: string, args: unknown[]): Promise<RemoteHandle>;
  /** `threads` is the most that may compute it; all where it is absent. */
  call(ref: number, method: string, args: unknown[], threads?: number): Promise<unknown>;
  /** Starts the core of another worker in this one, as a further thread. */
  join(code: SharedCode): Promise<void>;
  /** Computes parts of that worker's calls. It never ends. */
  help(): void;
  /** Refreshes the store for a model that has answered. */
  refresh(ref: number): Promise<void>;
  /** Resolves when the refreshes of the store are over. */
  free(ref: number): Promise<void>;
}

/** The code of a worker, and what else its core is started with. */
export interface WorkerCode {
  wasm: unknown;
  glues: Glues;
  /** The number of threads; 0 for a core without. */
  threads: number;
  /** Starts a further thread. */
  addThread(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<void>;
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
  glues(): Glues;
  /** Starts a worker's script for a further thread; absent where there are none. */
  helper?(): WorkerPort;
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
  /** A trap ends the worker, which this thread's models are not in. */
  readonly hasTrapped = false;
  readonly remote = true;
  readonly #host: WorkerHost;
  readonly #peer: Peer;
  readonly #glue: Glue;
  /** The options and the code that the worker was started with, and further ones are. */
  #given: { options: LoadOptions; wasm: unknown } = { options: {}, wasm: undefined };
  /** The threads that compute a call; 0 where the core has none. */
  #threads = 0;
  /** Handles in the worker that were not freed. */
  #handles = 0;
  #gone: PilotlightError | undefined;
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

  /**
   * Chooses the backend there. `plan` has the threads where another worker of the same model decided about them.
   * @throws {PilotlightError} also where the worker could not be started
   */
  async start(options: LoadOptions, wasm: unknown, plan = this.#plan(options, wasm)): Promise<Backend['report']> {
    const { device, dtype } = options;
    if (!this.#tellsItsEnd) void this.#watch();
    const helpers: Helper[] = [];
    /** Why a thread ended while the worker started. */
    let lost: string | undefined;
    try {
      const code: WorkerCode = {
        wasm,
        glues: this.#host.glues(),
        threads: plan.count,
        addThread: async (module, memory) => {
          const helper = this.#makeHelper((reason) => {
            lost ??= reason;
            if (this.#started) this.#fail(reason);
          });
          helpers.push(helper);
          await helper.start({ module, memory, glue: code.glues.threads });
        },
      };
      const report = (await this.#peer.call(
        'start',
        [{ device, dtype }, code, this.#means()],
        true,
      )) as Backend['report'];
      const { threads } = report;
      if (threads === 1) for (const helper of helpers) helper.terminate();
      else if (lost !== undefined) throw new PilotlightError('BACKEND_UNAVAILABLE', lost);
      // Further workers take what the first one chose.
      this.#given = { options: { ...options, device: report.device, dtype: report.dtype }, wasm };
      this.#threads = plan.count > 0 && report.device === 'cpu' && threads === plan.count ? threads : 0;
      this.#started = true;
      const why = report.device === 'cpu' ? plan.why : undefined;
      return why === undefined
        ? report
        : { ...report, reason: `${report.reason} It computes with one thread because ${why}.` };
    } catch (error) {
      this.terminate();
      throw error;
    }
  }

  #plan(options: LoadOptions, wasm: unknown): ThreadPlan {
    if (this.#host.helper) return planThreads(options, this.#host.device().cores, wasm);
    return asksForThreads(options) ? { count: 0, why: 'threads are in pages only' } : { count: 0 };
  }

  /** Starts a further thread, whose end is the end of this worker: its part of a call would never be computed. */
  #makeHelper(whenLost: (reason: string) => void): Helper {
    const { helper } = this.#host;
    if (!helper || this.#gone) throw new PilotlightError('INTERNAL', 'the worker has ended');
    const made = new Helper(helper(), whenLost);
    this.#ends.push(() => made.terminate());
    return made;
  }

  /** Calls with the glue of the worker, as `CoreInstance.run` does. */
  async run<T>(call: (glue: Glue) => T | Promise<T>): Promise<T> {
    return call(this.#glue);
  }

  get gone(): PilotlightError | undefined {
    return this.#gone;
  }

  async testGpu(dtype: Dtype): Promise<void> {
    await this.#callModel('testGpu', [dtype], true);
  }

  terminate(): void {
    this.#end(coreGone('INTERNAL', 'the worker has ended; load again'));
  }

  /** Ends the worker, and rejects all calls with the reason. */
  #end(reason: PilotlightError): void {
    if (this.#gone) return;
    this.#gone = reason;
    this.#host.port.terminate();
    this.#peer.end(reason);
    for (const end of this.#ends) end();
  }

  /** Calls a function about a model or its GPU, and ends the worker where its core is gone: no other model in it can be used then. */
  async #callModel(target: 'load' | 'call' | 'testGpu', args: readonly unknown[], kept = false): Promise<unknown> {
    try {
      return await this.#peer.call(target, args, kept);
    } catch (error) {
      if (isCoreGone(error)) this.#end(error);
      throw error;
    }
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
    if (this.#gone) return;
    const ended = new AbortController();
    this.#ends.push(() => ended.abort());
    try {
      const life = await watchLife(this.#peer);
      if (life) {
        await life(ended.signal);
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

  #fail(reason: string, code: 'INTERNAL' | 'RESOURCE_LIMIT' = 'INTERNAL'): void {
    this.#end(coreGone(code, this.#started ? `${reason}; load again` : reason));
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
    // A call has all threads, and a list has workers.
    const each = this.#threads && threadsOfEach(this.#threads, this.#host.device().cores, limit);
    const pool = new Pool(name, first, limit, each, (signal) => this.#hire(name, args, each, signal));
    const calls = first.methods.map((method) => [method, (...given: unknown[]) => pool.call(method, given)]);
    return { ...first.facts, ...Object.fromEntries(calls), free: () => pool.free() };
  }

  /** Loads a model in this worker. `refreshes` says whether it refreshes the store after its first answer. */
  async member(name: string, args: readonly unknown[], refreshes: boolean): Promise<Member & RemoteHandle> {
    this.#handles += 1;
    try {
      const handle = (await this.#callModel('load', [name, args], true)) as RemoteHandle;
      const { ref } = handle;
      let isDue = refreshes;
      return {
        ...handle,
        call: async (method, given, threads) => {
          const value = await this.#callModel('call', [ref, method, given, threads]);
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

  /** Starts a further worker with the same model, which reports no progress, and is on the same device. A signal that fires meanwhile ends it. */
  async #hire(name: string, args: readonly unknown[], threads: number, ended: AbortSignal): Promise<Member> {
    const { options, wasm } = this.#given;
    const remote = await this.#host.spawn();
    if (typeof remote === 'string') throw new PilotlightError('BACKEND_UNAVAILABLE', remote);
    const { signal: _, onProgress: __, onTimed: ___, ...quiet } = args.at(-1) as LoadRequest;
    return stoppedBy(
      ended,
      () => remote.terminate(),
      async () => {
        await remote.start(options, wasm, { count: threads });
        return remote.member(name, [...args.slice(0, -1), quiet], false);
      },
    );
  }

  #leave(): void {
    this.#handles -= 1;
    if (this.#handles === 0) this.terminate();
  }
}
