import type { DecoderHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import type { Caller } from './calls/caller.js';
import { checkModel, checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { Load } from './calls/load.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Computes hidden states of texts and how likely they are: a decoder in a core, with its queue. */
export class Decoder implements Api.Decoder {
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly layers: number;
  readonly backend: Api.BackendReport;
  readonly #model: ModelHandle<DecoderHandle>;
  /** Called once, after the model's first answer. */
  #answered: (() => void) | undefined;

  constructor(
    key: symbol,
    model: ModelHandle<DecoderHandle>,
    handle: DecoderHandle,
    backend: Api.BackendReport,
    answered: () => void,
  ) {
    checkConstruct(key, 'Decoder');
    this.#model = model;
    this.dimensions = handle.dimensions;
    this.maxTokens = handle.maxTokens;
    this.layers = handle.layers;
    this.backend = backend;
    this.#answered = answered;
  }

  static async load(model: string, options: Api.DecoderLoadOptions = {}): Promise<Decoder> {
    try {
      const signal = signalOf(checkObject('options', options));
      checkModel(model, options);
      const { instance, report } = await abortable(choosePlace(options), signal);
      const { device, dtype } = report;
      const load = new Load(model, { ...options, device, dtype });
      const handle = await load.run(instance, ({ DecoderHandle }, resolved) => DecoderHandle.load(model, resolved));
      const decoder = new Decoder(CONSTRUCT, new ModelHandle('Decoder', instance, handle), handle, report, () =>
        load.refresh(instance),
      );
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
    return this.#call(options, (handle, caller) => handle.hiddenStates(texts, { ...options, caller }));
  }

  async likelihoods(
    texts: string | readonly string[],
    options: Api.LikelihoodOptions = {},
  ): Promise<Api.Likelihoods[]> {
    return this.#call(options, (handle, caller) => handle.likelihoods(texts, { ...options, caller }));
  }

  dispose(): void {
    this.#model.dispose();
  }

  async #call<T>(options: object, work: (handle: DecoderHandle, caller: Caller) => Promise<T>): Promise<T> {
    const result = await this.#model.call(options, work);
    this.#answered?.();
    this.#answered = undefined;
    return result;
  }
}
