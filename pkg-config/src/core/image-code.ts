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

  /** Takes the program's own code, unless it has given some before. */
  use(source: () => WasmSource | Promise<WasmSource>): void {
    this.#given ??= source;
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
    if (source instanceof WebAssembly.Module) return source;
    const { name } = this.#file;
    try {
      return await WebAssembly.compile(await (responseOf(source)?.arrayBuffer() ?? (source as BufferSource)));
    } catch (error) {
      const { message } = toPilotlightError(error);
      throw new PilotlightError('BACKEND_UNAVAILABLE', `${name}: WebAssembly could not be started: ${message}`, error);
    }
  }
}
