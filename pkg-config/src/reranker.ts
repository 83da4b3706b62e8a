import type { SequenceClassifierHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Orders documents by how well they answer a query: a model in a core, with its queue. */
export class Reranker implements Api.Reranker {
  readonly maxTokens: number;
  readonly #model: ModelHandle<SequenceClassifierHandle>;

  constructor(key: symbol, model: ModelHandle<SequenceClassifierHandle>) {
    checkConstruct(key, 'Reranker');
    this.#model = model;
    this.maxTokens = model.handle.maxTokens;
  }

  static async load(model: string, options: Api.LoadOptions = {}): Promise<Reranker> {
    try {
      signalOf(checkObject('options', options));
      checkModel(model, options);
      const resolved = { ...options, isClassifier: true, isReranker: true };
      const own = await ModelHandle.load<SequenceClassifierHandle>({
        name: 'Reranker',
        model,
        options: resolved,
        place: choosePlace,
        load: ({ SequenceClassifierHandle }, given) => SequenceClassifierHandle.load(model, given),
      });
      const reranker = new Reranker(CONSTRUCT, own);
      setModel(reranker, { model, commit: own.handle.commit });
      return reranker;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async rank(
    query: string,
    documents: readonly string[],
    options: Api.RankOptions = {},
  ): Promise<Api.RankedDocument[]> {
    const { topK, signal } = checkObject('options', options) as Api.RankOptions;
    if (typeof query !== 'string')
      throw new PilotlightError('INVALID_INPUT', `query: expected a text, got ${shown(query)}`);
    if (topK !== undefined && !(Number.isInteger(topK) && topK > 0))
      throw new PilotlightError('INVALID_INPUT', `topK: expected a whole number above 0, got ${shown(topK)}`);
    const call = signal ? { signal } : {};
    const results = await this.#model.call(call, (handle, caller) =>
      handle.scorePairs(query, documents, { ...call, caller }),
    );
    const ranked = results.map((result, index) => ({ index, ...result }));
    // If scores are equal, the first document comes first, because sorting is stable.
    ranked.sort((a, b) => b.score - a.score);
    return ranked.slice(0, topK);
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
