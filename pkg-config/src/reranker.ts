import type { SequenceClassifierHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import { checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { Load } from './calls/load.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Orders documents by how well they answer a query: a model in a core, with its queue. */
export class Reranker implements Api.Reranker {
  readonly maxTokens: number;
  readonly backend: Api.BackendReport;
  readonly #model: ModelHandle<SequenceClassifierHandle>;
  /** Called once, after the model's first answer. */
  #answered: (() => void) | undefined;

  constructor(
    key: symbol,
    model: ModelHandle<SequenceClassifierHandle>,
    handle: SequenceClassifierHandle,
    backend: Api.BackendReport,
    answered: () => void,
  ) {
    checkConstruct(key, 'Reranker');
    this.#model = model;
    this.maxTokens = handle.maxTokens;
    this.backend = backend;
    this.#answered = answered;
  }

  static async load(model: string, options: Api.LoadOptions = {}): Promise<Reranker> {
    try {
      const signal = signalOf(checkObject('options', options));
      checkModel(model, options);
      const { instance, report } = await abortable(choosePlace(options), signal);
      const { device, dtype } = report;
      const load = new Load(model, { ...options, device, dtype, isClassifier: true, isReranker: true });
      const handle = await load.run(instance, ({ SequenceClassifierHandle }, resolved) =>
        SequenceClassifierHandle.load(model, resolved),
      );
      const own = new ModelHandle('Reranker', instance, handle);
      const reranker = new Reranker(CONSTRUCT, own, handle, report, () => load.refresh(instance));
      setModel(reranker, { model, commit: handle.commit });
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
    this.#answered?.();
    this.#answered = undefined;
    const ranked = results.map((result, index) => ({ index, ...result }));
    // If scores are equal, the first document comes first, because sorting is stable.
    ranked.sort((a, b) => b.score - a.score);
    return ranked.slice(0, topK);
  }

  dispose(): void {
    this.#model.dispose();
  }
}
