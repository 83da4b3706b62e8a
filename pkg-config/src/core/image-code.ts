import { PilotlightError, toPilotlightError } from '../error.js';
import type { WasmSource } from './glue.js';
import { responseOf, type WasmFile, wasmOf } from './wasm-source.js';

/** The code of the image decoders, fetched and compiled with the first file that is decoded. */
export class ImageCode {
  readonly #file: WasmFile;
  #given: (() => WasmSource | Promise<WasmSource>) | undefined;
  #module: Promise<WebAssembly.Module> | undefined;

  constructor(file: WasmFile) {
    this.#file = file;
  }

  /** Sets the program's own code; ignored once code is compiled or being compiled. */
  use(source: () => WasmSource | Promise<WasmSource>): void {
    if (!this.#module) this.#given = source;
  }

  /** Returns the compiled code, which workers of the page or process share. After a failure the next call tries again. */
  module(): Promise<WebAssembly.Module> {
    this.#module ??= this.#compile().catch((error: unknown) => {
      this.#module = undefined;
      throw error;
    });
    return this.#module;
  }

  async #compile(): Promise<WebAssembly.Module> {
    const isGiven = this.#given !== undefined;
    const source = await wasmOf(this.#file, this.#given?.());
    const module = source instanceof WebAssembly.Module ? source : await this.#compiled(source);
    if (WebAssembly.Module.exports(module).some(({ name }) => name === 'decode')) return module;
    const where = isGiven ? 'init({ images })' : this.#file.name;
    throw new PilotlightError('INVALID_INPUT', `${where}: expected the code of pilotlight/images.wasm, got other code`);
  }

  async #compiled(source: WasmSource): Promise<WebAssembly.Module> {
    const attempt = async <T>(code: 'FETCH_FAILED' | 'BACKEND_UNAVAILABLE', what: string, work: () => Promise<T>) => {
      try {
        return await work();
      } catch (error) {
        throw new PilotlightError(code, `${this.#file.name}: ${what}: ${toPilotlightError(error).message}`, error);
      }
    };
    const response = responseOf(source);
    const bytes = response
      ? await attempt('FETCH_FAILED', 'the download broke off', () => response.arrayBuffer())
      : (source as BufferSource);
    return attempt('BACKEND_UNAVAILABLE', 'WebAssembly could not be compiled', () => WebAssembly.compile(bytes));
  }
}
