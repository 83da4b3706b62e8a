import { Core } from './core.js';
import type { Glue, WasmSource } from './glue.js';
import type { CoreInstance } from './instance.js';

/** Bytes of the stack of a further thread, which runs kernels only. */
const STACK = 1 << 19;

/** The core with shared memory, in which several threads compute one call. */
export class SharedCore {
  readonly #glue: () => Promise<Glue>;
  readonly #core: Core;
  /** The glue in a further thread, with the memory of the first one. */
  #joined: Glue | undefined;

  constructor(glue: () => Promise<Glue>, wasm: () => Promise<WasmSource>) {
    this.#glue = glue;
    this.#core = new Core({ name: 'core/threads.wasm', glue, wasm });
  }

  /** Starts it with `count` threads, of which `add` starts all but this one. */
  async start(
    count: number,
    add: (module: WebAssembly.Module, memory: WebAssembly.Memory) => Promise<unknown>,
  ): Promise<CoreInstance> {
    const instance = await this.#core.instance();
    const { compiledModule, sharedMemory, setThreads } = instance.glue;
    const [module, memory] = [compiledModule(), sharedMemory?.()];
    if (!module || !memory) throw new Error('core/threads.js is not the glue of a core with shared memory');
    await Promise.all(Array.from({ length: count - 1 }, () => add(module, memory)));
    setThreads?.(count);
    return instance;
  }

  /** Starts a further thread of a core that runs in another worker. */
  async join(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<void> {
    const glue = await this.#glue();
    await glue.default({ module_or_path: module, memory, thread_stack_size: STACK });
    this.#joined = glue;
  }

  /** Computes parts of the calls of the first thread, for ever. */
  help(): void {
    this.#joined?.help?.();
  }
}
