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

  /** Takes the program's own code, unless some is compiled already. */
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
    const source = await wasmOf(this.#file, this.#given?.());
    const module = source instanceof WebAssembly.Module ? source : await this.#compiled(source);
    if (WebAssembly.Module.exports(module).some(({ name }) => name === 'decode')) return module;
    throw new PilotlightError(
      'INVALID_INPUT',
      'init({ images }): expected the code of pilotlight/images.wasm, got other code',
    );
  }

  async #compiled(source: WasmSource): Promise<WebAssembly.Module> {
    const { name } = this.#file;
    const response = responseOf(source);
    let code: 'FETCH_FAILED' | 'BACKEND_UNAVAILABLE' = 'FETCH_FAILED';
    try {
      const bytes = response ? await response.arrayBuffer() : (source as BufferSource);
      code = 'BACKEND_UNAVAILABLE';
      return await WebAssembly.compile(bytes);
    } catch (error) {
      const what = code === 'FETCH_FAILED' ? 'the download broke off' : 'WebAssembly could not be compiled';
      throw new PilotlightError(code, `${name}: ${what}: ${toPilotlightError(error).message}`, error);
    }
  }
}
