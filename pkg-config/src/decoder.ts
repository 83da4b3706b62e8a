import type { DecoderHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkModel, checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Computes hidden states of texts and how likely they are: a decoder in a core, with its queue. */
export class Decoder implements Api.Decoder {
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly layers: number;
  readonly #model: ModelHandle<DecoderHandle>;

  constructor(key: symbol, model: ModelHandle<DecoderHandle>) {
    checkConstruct(key, 'Decoder');
    const { handle } = model;
    this.#model = model;
    this.dimensions = handle.dimensions;
    this.maxTokens = handle.maxTokens;
    this.layers = handle.layers;
  }

  static async load(model: string, options: Api.DecoderLoadOptions = {}): Promise<Decoder> {
    try {
      signalOf(checkObject('options', options));
      checkModel(model, options);
      const own = await ModelHandle.load<DecoderHandle>({
        name: 'Decoder',
        model,
        options,
        place: choosePlace,
        load: ({ DecoderHandle }, resolved) => DecoderHandle.load(model, resolved),
      });
      const { handle } = own;
      const decoder = new Decoder(CONSTRUCT, own);
      setModel(decoder, { model, commit: handle.commit, ...(handle.isCut && { layers: handle.layers }) });
      return decoder;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async hiddenStates(
    texts: string | readonly string[],
    options: Api.HiddenStatesOptions = {},
  ): Promise<Api.HiddenStates> {
    return this.#model.call(options, (handle, caller) => handle.hiddenStates(texts, { ...options, caller }));
  }

  async likelihoods(
    texts: string | readonly string[],
    options: Api.LikelihoodOptions = {},
  ): Promise<Api.Likelihoods[]> {
    return this.#model.call(options, (handle, caller) => handle.likelihoods(texts, { ...options, caller }));
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
