import type * as Api from '../types/index.js';
import { abortable, signalOf } from './abort.js';
import { abortableFiles } from './abortable-files.js';
import { type Cores, chooseBackend } from './backend.js';
import { CallQueue } from './call-queue.js';
import type { CoreInstance } from './core-instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import type { EmbedderHandle } from './glue.js';

/** Only `load` may construct. */
const INSIDE = Symbol('pilotlight');

/** The `TextEmbedder` class over the cores of one runtime. */
export function textEmbedderOn(cores: Cores): typeof Api.TextEmbedder {
  class TextEmbedder {
    readonly dimensions: number;
    readonly maxTokens: number;
    readonly backend: Api.BackendReport;
    readonly #handle: EmbedderHandle;
    readonly #instance: CoreInstance;
    readonly #queue = new CallQueue();
    #disposed = false;

    constructor(key: symbol, instance: CoreInstance, handle: EmbedderHandle, backend: Api.BackendReport) {
      if (key !== INSIDE) throw new PilotlightError('INVALID_INPUT', 'TextEmbedder has no constructor: use TextEmbedder.load()');
      this.#instance = instance;
      this.#handle = handle;
      this.dimensions = handle.dimensions;
      this.maxTokens = handle.maxTokens;
      this.backend = backend;
    }

    static async load(model: string, options: Api.LoadOptions = {}): Promise<TextEmbedder> {
      try {
        checkName('model', model, "a name such as 'owner/model'");
        const signal = signalOf(checkObject('options', options));
        checkName('revision', options.revision ?? 'main', 'a branch, tag or commit');
        const { instance, report } = await abortable(chooseBackend(cores, options), signal);
        const { device, dtype } = report;
        const settled = { ...options, device, dtype, files: abortableFiles(options.files, signal) };
        const handle = await instance.run(({ EmbedderCore }) => EmbedderCore.load(model, settled));
        return new TextEmbedder(INSIDE, instance, handle, report);
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    async embed(texts: string | readonly string[], options: Api.EmbedOptions = {}): Promise<Api.Embeddings> {
      try {
        if (this.#disposed) throw new PilotlightError('DISPOSED', 'this TextEmbedder was disposed; load it again');
        const signal = signalOf(checkObject('options', options));
        return await this.#queue.run(() => this.#instance.run(() => this.#handle.embed(texts, options)), signal);
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    dispose(): void {
      if (this.#disposed) return;
      this.#disposed = true;
      // After the calls that were made before. A trapped instance is gone with all its memory.
      void this.#queue.run(() => this.#instance.run(() => this.#handle.free())).catch(() => {});
    }
  }
  return TextEmbedder as unknown as typeof Api.TextEmbedder;
}

/** Each part becomes a part of a URL's path, where `..` would lead out of the model's own. */
function checkName(what: string, name: unknown, expected: string): asserts name is string {
  if (typeof name !== 'string') throw new PilotlightError('INVALID_INPUT', `${what}: expected ${expected}, got ${typeof name}`);
  if (name.split('/').some((part) => ['', '.', '..'].includes(part.trim()))) {
    throw new PilotlightError('INVALID_INPUT', `${what}: expected ${expected}, got '${name}'`);
  }
}

function checkObject(name: string, value: unknown): object {
  if (typeof value === 'object' && value !== null) return value;
  throw new PilotlightError('INVALID_INPUT', `${name}: expected an object, got ${value === null ? 'null' : typeof value}`);
}
