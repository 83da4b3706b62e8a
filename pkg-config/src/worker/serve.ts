import type { LoadOptions } from '../../types/index.js';
import { CallQueue } from '../calls/call-queue.js';
import { Load } from '../calls/load.js';
import { type Cores, chooseBackend, type Threads } from '../core/backend.js';
import type { Glue, WasmSource } from '../core/glue.js';
import type { CoreInstance } from '../core/instance.js';
import { PilotlightError } from '../error.js';
import type { Glues } from '../runtime/worker.js';
import { grantsOf } from '../storage/lent-locks.js';
import { pageLocks, webLocks } from '../storage/locks.js';
import { Peer, type Port } from './peer.js';
import type { RemoteHandle, WorkerFunctions } from './remote-instance.js';

type Handle = Record<string, unknown> & { free(): void };
type Method = (...args: unknown[]) => Promise<unknown>;

/** Runs a core, and models in it, for the thread at the other side of the port, which has started this one. */
export function serve(port: Port, cores: Cores, setGlues: (addresses: Glues) => void): void {
  const handles = new Map<number, { handle: Handle; queue: CallQueue; load: Load<LoadOptions> }>();
  /** Refreshes of the store, which a worker completes before it ends. */
  const refreshes: Promise<void>[] = [];
  let last = 0;
  let instance: CoreInstance | undefined;
  /** The threads of that core. */
  let threads = 1;

  function running(): CoreInstance {
    if (!instance) throw new PilotlightError('INTERNAL', 'the worker was not started');
    return instance;
  }

  const functions: WorkerFunctions = {
    async start(options, { wasm, glues, threads: count, addThread }, names) {
      setGlues(glues);
      pageLocks.prefix = names.prefix;
      if (names.locks) pageLocks.lent = grantsOf(names.locks);
      if (wasm !== undefined) await cores.cpu.instance(wasm as WasmSource);
      const { threads: core } = cores;
      const several: Threads | undefined =
        core && count > 0 ? { count, start: () => core.start(count, addThread) } : undefined;
      const chosen = await chooseBackend(cores, options, several);
      instance = chosen.instance;
      threads = chosen.report.threads;
      return chosen.report;
    },

    async hold(lock) {
      const locks = webLocks();
      if (lock === undefined || !locks) return false;
      return locks.take(lock).then(
        () => true,
        () => false,
      );
    },

    ping() {},

    async testGpu(dtype) {
      await running().testGpu(dtype);
    },

    async load(name, args) {
      const core = running();
      // The options come last; before them, where there is one, the name of the model.
      const options = args.at(-1) as LoadOptions;
      const before = args.slice(0, -1);
      const load = new Load(String(before[0] ?? 'digits'), options);
      const handle = await load.run(core, (glue, resolved) => {
        const { load } = glue[name as keyof Glue] as unknown as { load: (...args: unknown[]) => Promise<Handle> };
        return load(...before, resolved);
      });
      const { memoryBytes } = await core.run(({ coreInfo }) => coreInfo());
      last += 1;
      handles.set(last, { handle, queue: new CallQueue(), load });
      return { ref: last, ...membersOf(handle), memoryBytes };
    },

    async call(ref, method, args, most = threads) {
      const { handle, queue } = handles.get(ref) ?? {};
      if (!handle || !queue) throw new PilotlightError('DISPOSED', 'this model was disposed; load it again');
      // The page may have given up on a call that still computes.
      return queue.run(() =>
        running().run(({ setThreads }) => {
          setThreads?.(Math.min(most, threads));
          return (handle[method] as Method).apply(handle, args);
        }),
      );
    },

    async join({ module, memory, glue }) {
      setGlues({ webgpu: '', threads: glue });
      await cores.threads?.join(module, memory);
    },

    help() {
      cores.threads?.help();
    },

    async refresh(ref) {
      const refreshed = handles.get(ref)?.load.refresh(running());
      if (refreshed) refreshes.push(refreshed);
      await refreshed;
    },

    async free(ref) {
      handles.get(ref)?.handle.free();
      handles.delete(ref);
      await Promise.all(refreshes);
    },
  };

  new Peer(port, functions as never);
}

/** The values of a handle's properties and the names of its methods, which the glue has on the class. */
function membersOf(handle: Handle): Pick<RemoteHandle, 'facts' | 'methods'> {
  const facts: Record<string, unknown> = {};
  const methods: string[] = [];
  for (const [name, { get, value }] of Object.entries(
    Object.getOwnPropertyDescriptors(Object.getPrototypeOf(handle)),
  )) {
    if (name.startsWith('__') || name === 'constructor' || name === 'free') continue;
    if (get) facts[name] = handle[name];
    else if (typeof value === 'function') methods.push(name);
  }
  return { facts, methods };
}
