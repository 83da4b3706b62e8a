import type { SequenceClassifierHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkModel, checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Gives the labels of a trained model to texts: a model in a core, with its queue. */
export class SequenceClassifier implements Api.SequenceClassifier {
  readonly labels: readonly string[];
  readonly maxTokens: number;
  readonly #model: ModelHandle<SequenceClassifierHandle>;

  constructor(key: symbol, model: ModelHandle<SequenceClassifierHandle>) {
    checkConstruct(key, 'SequenceClassifier');
    const { handle } = model;
    this.#model = model;
    this.labels = Object.freeze(handle.labels);
    this.maxTokens = handle.maxTokens;
  }

  static async load(model: string, options: Api.LoadOptions = {}): Promise<SequenceClassifier> {
    try {
      signalOf(checkObject('options', options));
      checkModel(model, options);
      const resolved = { ...options, isClassifier: true };
      const own = await ModelHandle.load<SequenceClassifierHandle>({
        name: 'SequenceClassifier',
        model,
        options: resolved,
        place: choosePlace,
        load: ({ SequenceClassifierHandle }, given) => SequenceClassifierHandle.load(model, given),
      });
      const classifier = new SequenceClassifier(CONSTRUCT, own);
      setModel(classifier, { model, commit: own.handle.commit });
      return classifier;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async classify(
    texts: string | readonly string[],
    options: { signal?: AbortSignal } = {},
  ): Promise<Api.SequenceClassification[]> {
    const results = await this.#model.call(options, (handle, caller) => handle.classify(texts, { ...options, caller }));
    return results.map(({ logits, probabilities, tokens, truncated }) => {
      const scores = this.labels.map((label, i) => ({
        label,
        probability: probabilities[i] ?? null,
        logit: logits[i] ?? 0,
      }));
      // A probability grows with its logit.
      const { label, probability } = scores.reduce((best, score) => (score.logit > best.logit ? score : best));
      return { label, probability, scores, tokens, truncated };
    });
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
