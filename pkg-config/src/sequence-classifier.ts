import type { SequenceClassifierHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import { checkModel, checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { Load } from './calls/load.js';
import { ModelHandle } from './calls/model-handle.js';
import { setModel } from './core/core-of.js';
import { toPilotlightError } from './error.js';
import { choosePlace } from './worker/beside.js';

/** Gives the labels of a trained model to texts: a model in a core, with its queue. */
export class SequenceClassifier implements Api.SequenceClassifier {
  readonly labels: readonly string[];
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
    checkConstruct(key, 'SequenceClassifier');
    this.#model = model;
    this.labels = Object.freeze(handle.labels);
    this.maxTokens = handle.maxTokens;
    this.backend = backend;
    this.#answered = answered;
  }

  static async load(model: string, options: Api.LoadOptions = {}): Promise<SequenceClassifier> {
    try {
      const signal = signalOf(checkObject('options', options));
      checkModel(model, options);
      const { instance, report } = await abortable(choosePlace(options), signal);
      const { device, dtype } = report;
      const load = new Load(model, { ...options, device, dtype, isClassifier: true });
      const handle = await load.run(instance, ({ SequenceClassifierHandle }, resolved) =>
        SequenceClassifierHandle.load(model, resolved),
      );
      const classifier = new SequenceClassifier(
        CONSTRUCT,
        new ModelHandle('SequenceClassifier', instance, handle),
        handle,
        report,
        () => load.refresh(instance),
      );
      setModel(classifier, { model, commit: handle.commit });
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
    this.#answered?.();
    this.#answered = undefined;
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

  dispose(): void {
    this.#model.dispose();
  }
}
