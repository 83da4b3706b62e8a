import { PilotlightError, toPilotlightError } from '../error.js';
import type { Glue, WasmSource } from './glue.js';
import { CoreInstance } from './instance.js';
import { responseOf, type WasmFile, wasmOf } from './wasm-source.js';

/** The sources of a core's two files in a runtime. */
export interface CoreFiles extends WasmFile {
  glue(): Glue | Promise<Glue>;
}

/** A core that is fetched and instantiated at its first use. */
export class Core {
  readonly #files: CoreFiles;
  #instance: Promise<CoreInstance> | undefined;
  /** The runtime's own code, where it was compiled for other threads. */
  #module: Promise<WebAssembly.Module> | undefined;
  /** Whether the running code is the program's own. */
  #overridden = false;

  constructor(files: CoreFiles) {
    this.#files = files;
  }

  /** Returns the running instance, or starts one: at the first call, after a failure, and after a trap or a failure of its GPU. */
  async instance(override?: WasmSource | Promise<WasmSource>): Promise<CoreInstance> {
    const before = this.#instance;
    const earlier = await before?.catch(() => undefined);
    // If two loads find the same instance that is gone, only one replaces it.
    if (before && earlier?.gone && this.#instance === before) {
      this.#instance = this.#restart(earlier).catch((error: unknown) => {
        this.#instance = before;
        throw error;
      });
    }
    this.#instance ??= this.#start(override).catch((error: unknown) => {
      this.#instance = undefined;
      throw error;
    });
    return this.#instance;
  }

  /** Returns the instance if it runs already; starts nothing. */
  async running(): Promise<CoreInstance | undefined> {
    const instance = await this.#instance?.catch(() => undefined);
    return instance?.gone ? undefined : instance;
  }

  /** The code that the program gave to `init`, compiled; a worker gets it too. */
  async given(): Promise<WebAssembly.Module | undefined> {
    if (!this.#overridden) return undefined;
    return (await this.running())?.glue.compiledModule();
  }

  /** The code, compiled, for other threads of the process, whose own code is bytes. */
  async module(): Promise<WebAssembly.Module> {
    const given = (await this.running())?.glue.compiledModule();
    if (given) return given;
    this.#module ??= Promise.resolve(this.#files.wasm())
      .then((bytes) => WebAssembly.compile(bytes as BufferSource))
      .catch((error: unknown) => {
        this.#module = undefined;
        throw error;
      });
    return this.#module;
  }

  async #start(override: WasmSource | Promise<WasmSource> | undefined): Promise<CoreInstance> {
    const { name } = this.#files;
    let glue: Glue;
    let wasm: WasmSource;
    try {
      const code = wasmOf(this.#files, override ?? this.#module);
      // An error of the glue is thrown first, whichever comes first.
      code.catch(() => {});
      glue = await this.#files.glue();
      wasm = await code;
    } catch (error) {
      if (error instanceof PilotlightError) throw error;
      throw new PilotlightError('FETCH_FAILED', `${name}: ${toPilotlightError(error).message}`, error);
    }
    const response = responseOf(wasm);
    try {
      // The glue recognizes a `Response` only by the global class of that name, which some servers replace.
      const foreign = response && !(typeof Response === 'function' && response instanceof Response);
      await glue.default({ module_or_path: foreign ? await response.arrayBuffer() : wasm });
    } catch (error) {
      const { message } = toPilotlightError(error);
      throw new PilotlightError('BACKEND_UNAVAILABLE', `${name}: WebAssembly could not be started: ${message}`, error);
    }
    this.#overridden = override !== undefined;
    return new CoreInstance(glue);
  }

  async #restart({ glue }: CoreInstance): Promise<CoreInstance> {
    try {
      await glue.__wbg_reset_state();
    } catch (error) {
      throw new PilotlightError('BACKEND_UNAVAILABLE', `${this.#files.name}: no new instance could be started`, error);
    }
    return new CoreInstance(glue);
  }
}
