import { PilotlightError, toPilotlightError } from '../error.js';
import { has } from '../inputs/foreign.js';
import type { Glue, WasmSource } from './glue.js';
import { CoreInstance } from './instance.js';

/** The sources of a core's two files in a runtime. */
export interface CoreFiles {
  /** The name for messages, for example `core/simd.wasm`. */
  readonly name: string;
  glue(): Glue | Promise<Glue>;
  wasm(): WasmSource | Promise<WasmSource>;
  /** A sentence for messages: the remedy if the wasm is not at the expected place. */
  readonly missing?: string;
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

  /** Returns the running instance, or starts one: at the first call, after a failure, and after a trap. */
  async instance(override?: WasmSource | Promise<WasmSource>): Promise<CoreInstance> {
    const before = this.#instance;
    const earlier = await before?.catch(() => undefined);
    // If two loads find the same trapped instance, only one replaces it.
    if (before && earlier?.trapped && this.#instance === before) {
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
    return instance?.trapped ? undefined : instance;
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
    const { name, missing } = this.#files;
    // Bundlers have nothing to do with a source that the program itself gave.
    const advice = missing && override === undefined ? `. ${missing}` : '';
    let glue: Glue;
    let wasm: WasmSource;
    let found = false;
    try {
      const source = override ?? this.#module ?? this.#files.wasm();
      found = true;
      [glue, wasm] = await Promise.all([this.#files.glue(), source]);
    } catch (error) {
      if (error instanceof PilotlightError) throw error;
      const { message } = toPilotlightError(error);
      // Without a network the file may well be in its place.
      throw new PilotlightError('FETCH_FAILED', `${name}: ${message}${found ? '' : advice}`, error);
    }
    const response = has(wasm, 'arrayBuffer') ? (wasm as Response) : undefined;
    if (response && !response.ok) {
      const { status, url } = response;
      const message = `${name}: the host answered ${status} for ${url}${advice}`;
      throw new PilotlightError('FETCH_FAILED', message, undefined, { status, reason: 'status' });
    }
    if (response?.headers?.get('content-type')?.startsWith('text/html')) {
      const message = `${name}: the host answered with a web page for ${response.url}${advice}`;
      throw new PilotlightError('FETCH_FAILED', message, undefined, { reason: 'html' });
    }
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
      throw new PilotlightError('BACKEND_UNAVAILABLE', `${this.#files.name}: no new instance after a trap`, error);
    }
    return new CoreInstance(glue);
  }
}
