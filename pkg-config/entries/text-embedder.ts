import type * as Api from '../types/index.js';
import { abortable, signalOf } from './abort.js';
import { type Cores, chooseBackend } from './backend.js';
import { checkModel, checkObject } from './check.js';
import { PilotlightError, toPilotlightError } from './error.js';
import type { TextEmbedderHandle } from './glue.js';
import { Load } from './load.js';
import { ModelHandle } from './model-handle.js';

/** Only `load` may construct. */
const CONSTRUCT = Symbol('pilotlight');

/** The `TextEmbedder` class over the cores of one runtime. */
export function textEmbedderOn(cores: Cores): typeof Api.TextEmbedder {
  class TextEmbedder {
    readonly dimensions: number;
    readonly maxTokens: number;
    readonly backend: Api.BackendReport;
    readonly #model: ModelHandle<TextEmbedderHandle>;
    /** To be called at the first answer. */
    #answered: (() => void) | undefined;

    constructor(
      key: symbol,
      model: ModelHandle<TextEmbedderHandle>,
      handle: TextEmbedderHandle,
      backend: Api.BackendReport,
      answered: () => void,
    ) {
      if (key !== CONSTRUCT)
        throw new PilotlightError('INVALID_INPUT', 'TextEmbedder has no constructor: use TextEmbedder.load()');
      this.#model = model;
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
        const load = new Load(model, { ...options, device, dtype });
        const handle = await load.run(instance, ({ TextEmbedderHandle }, resolved) =>
          TextEmbedderHandle.load(model, resolved),
        );
        return new TextEmbedder(CONSTRUCT, new ModelHandle('TextEmbedder', instance, handle), handle, report, () =>
          load.refresh(instance),
        );
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    async embed(texts: string | readonly string[], options: Api.EmbedOptions = {}): Promise<Api.Embeddings> {
      const embeddings = await this.#model.call(options, (handle, caller) =>
        handle.embed(texts, { ...options, caller }),
      );
      this.#answered?.();
      this.#answered = undefined;
      return embeddings;
    }

    dispose(): void {
      this.#model.dispose();
    }
  }
  return TextEmbedder as unknown as typeof Api.TextEmbedder;
}
