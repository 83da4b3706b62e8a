import type * as Api from '../types/index.js';
import { abortable, signalOf } from './abort.js';
import { abortableFiles } from './abortable-files.js';
import { type Cores, chooseBackend } from './backend.js';
import { CallQueue } from './call-queue.js';
import { checkModel, checkObject } from './check.js';
import type { CoreInstance } from './core-instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import type { EmbedderHandle } from './glue.js';
import { Load } from './load.js';

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
    /** To be called at the first answer. */
    #answered: (() => void) | undefined;
    #disposed = false;

    constructor(key: symbol, instance: CoreInstance, handle: EmbedderHandle, backend: Api.BackendReport, answered: () => void) {
      if (key !== INSIDE) throw new PilotlightError('INVALID_INPUT', 'TextEmbedder has no constructor: use TextEmbedder.load()');
      this.#instance = instance;
      this.#handle = handle;
      this.dimensions = handle.dimensions;
      this.maxTokens = handle.maxTokens;
      this.backend = backend;
      this.#answered = answered;
    }

    static async load(model: string, options: Api.LoadOptions = {}): Promise<TextEmbedder> {
      try {
        const signal = signalOf(checkObject('options', options));
        checkModel(model, options);
        const { instance, report } = await abortable(chooseBackend(cores, options), signal);
        const { device, dtype } = report;
        const files = abortableFiles(options.files, signal);
        const load = new Load(model, { ...options, device, dtype, ...(files && { files }) });
        const handle = await load.run(instance, ({ EmbedderCore }, settled) => EmbedderCore.load(model, settled));
        return new TextEmbedder(INSIDE, instance, handle, report, () => load.refresh(instance));
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    async embed(texts: string | readonly string[], options: Api.EmbedOptions = {}): Promise<Api.Embeddings> {
      try {
        if (this.#disposed) throw new PilotlightError('DISPOSED', 'this TextEmbedder was disposed; load it again');
        const signal = signalOf(checkObject('options', options));
        const embeddings = await this.#queue.run(() => this.#instance.run(() => this.#handle.embed(texts, options)), signal);
        this.#answered?.();
        this.#answered = undefined;
        return embeddings;
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
