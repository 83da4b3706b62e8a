import type { TextEmbedderHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import type { Caller } from './calls/caller.js';
import { checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { Load } from './calls/load.js';
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
  readonly backend: Api.BackendReport;
  readonly #model: ModelHandle<TextEmbedderHandle>;
  /** Called once, after the model's first answer. */
  #answered: (() => void) | undefined;

  constructor(
    key: symbol,
    model: ModelHandle<TextEmbedderHandle>,
    handle: TextEmbedderHandle,
    backend: Api.BackendReport,
    name: string,
    answered: () => void,
  ) {
    checkConstruct(key, 'TextEmbedder');
    this.#model = model;
    this.dimensions = handle.dimensions;
    this.maxTokens = handle.maxTokens;
    this.layers = handle.layers;
    this.prompts = Object.freeze(handle.prompts as Record<string, string>);
    this.defaultPrompt = handle.defaultPrompt;
    this.similarity = handle.similarity as Api.TextEmbedder['similarity'];
    this.hints = Object.freeze(promptHints(name, this.prompts));
    this.backend = backend;
    this.#answered = answered;
  }

  static async load(model: string, options: Api.TextLoadOptions = {}): Promise<TextEmbedder> {
    try {
      const signal = signalOf(checkObject('options', options));
      checkModel(model, options);
      const { instance, report } = await abortable(choosePlace(options), signal);
      const { device, dtype } = report;
      const load = new Load(model, { ...options, device, dtype });
      const handle = await load.run(instance, ({ TextEmbedderHandle }, resolved) =>
        TextEmbedderHandle.load(model, resolved),
      );
      const embedder = new TextEmbedder(
        CONSTRUCT,
        new ModelHandle('TextEmbedder', instance, handle),
        handle,
        report,
        model,
        () => load.refresh(instance),
      );
      setModel(embedder, { model, commit: handle.commit, ...(handle.isCut && { layers: handle.layers }) });
      return embedder;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async embed(texts: string | readonly string[], options: Api.TextEmbedOptions = {}): Promise<Api.Embeddings> {
    return this.#call(options, (handle, caller) => handle.embed(texts, { ...options, caller }));
  }

  async hiddenStates(
    texts: string | readonly string[],
    options: Api.HiddenStatesOptions = {},
  ): Promise<Api.HiddenStates> {
    const { prompt } = Object(options);
    if (prompt !== undefined)
      throw new PilotlightError('INVALID_INPUT', `prompt: hidden states have none, got ${shown(prompt)}`);
    return this.#call(options, (handle, caller) => handle.hiddenStates(texts, { ...options, caller }));
  }

  dispose(): void {
    this.#model.dispose();
  }

  async #call<T>(options: object, work: (handle: TextEmbedderHandle, caller: Caller) => Promise<T>): Promise<T> {
    const result = await this.#model.call(options, work);
    this.#answered?.();
    this.#answered = undefined;
    return result;
  }
}
