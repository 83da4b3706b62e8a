import type { TextEmbedderHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { promptHints } from './inputs/prompt-hints.js';
import { choosePlace } from './worker/beside.js';

/** Embeds texts: a model in a core, with its queue. */
export class TextEmbedder implements Api.TextEmbedder {
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly layers: number;
  readonly prompts: Readonly<Record<string, string>>;
  readonly defaultPrompt: string;
  readonly similarity: Api.TextEmbedder['similarity'];
  readonly hints: readonly string[];
  readonly #model: ModelHandle<TextEmbedderHandle>;

  constructor(key: symbol, model: ModelHandle<TextEmbedderHandle>, name: string) {
    checkConstruct(key, 'TextEmbedder');
    const { handle } = model;
    this.#model = model;
    this.dimensions = handle.dimensions;
    this.maxTokens = handle.maxTokens;
    this.layers = handle.layers;
    this.prompts = Object.freeze(handle.prompts as Record<string, string>);
    this.defaultPrompt = handle.defaultPrompt;
    this.similarity = handle.similarity as Api.TextEmbedder['similarity'];
    this.hints = Object.freeze(promptHints(name, this.prompts));
  }

  static async load(model: string, options: Api.TextLoadOptions = {}): Promise<TextEmbedder> {
    try {
      signalOf(checkObject('options', options));
      checkModel(model, options);
      const own = await ModelHandle.load<TextEmbedderHandle>({
        name: 'TextEmbedder',
        model,
        options,
        place: choosePlace,
        load: ({ TextEmbedderHandle }, resolved) => TextEmbedderHandle.load(model, resolved),
      });
      const { handle } = own;
      const embedder = new TextEmbedder(CONSTRUCT, own, model);
      setModel(embedder, { model, commit: handle.commit, ...(handle.isCut && { layers: handle.layers }) });
      return embedder;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async embed(texts: string | readonly string[], options: Api.TextEmbedOptions = {}): Promise<Api.Embeddings> {
    return this.#model.call(options, (handle, caller) => handle.embed(texts, { ...options, caller }));
  }

  async hiddenStates(
    texts: string | readonly string[],
    options: Api.HiddenStatesOptions = {},
  ): Promise<Api.HiddenStates> {
    const { prompt } = Object(options);
    if (prompt !== undefined)
      throw new PilotlightError('INVALID_INPUT', `prompt: hidden states have none, got ${shown(prompt)}`);
    return this.#model.call(options, (handle, caller) => handle.hiddenStates(texts, { ...options, caller }));
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
