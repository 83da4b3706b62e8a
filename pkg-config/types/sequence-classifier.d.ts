import type { BackendReport, LoadOptions } from './index.js';

/** The labels that a model gives to a text, with their probabilities. */
export interface SequenceClassification {
  /** The most probable label, or the one with the largest number. */
  label: string;
  /** The probability, 0 to 1; `null` if the labels are numbers that the model estimates (`problem_type` is `regression`), which are in `logit`. */
  probability: number | null;
  /**
   * Each label with its probability and the output of the network, in the order of `labels`. Probabilities sum to 1 unless the model may give several
   * labels at once.
   */
  scores: { label: string; probability: number | null; logit: number }[];
  /** The number of tokens that went through the model, special tokens included. */
  tokens: number;
  /** Whether the text was longer than `maxTokens` and was cut. */
  truncated: boolean;
}

/**
 * A model that was trained to give one of its own labels to a text, such as a sentiment or a topic. For labels of your own, fit a
 * `TextClassifier`. The probabilities of such a model mean little for texts of another kind than those of its training.
 */
export declare class SequenceClassifier {
  private constructor();
  /**
   * Loads a checkpoint for sequence classification of BERT, CamemBERT, DistilBERT, ModernBERT, MPNet, NomicBERT, RoBERTa or XLM-RoBERTa from the
   * store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL` naming the
   * `architectures` of another checkpoint, `RESOURCE_LIMIT`, `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: LoadOptions): Promise<SequenceClassifier>;
  /**
   * Classifies texts; the same text gives the same answer whatever else is in the list. It computes on the calling thread, yields to the
   * event loop between layers, and runs calls one after another.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text, `INVALID_WEIGHTS` where the tokenizer gives an id that the model does not
   * have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  classify(texts: string | readonly string[], options?: { signal?: AbortSignal }): Promise<SequenceClassification[]>;
  /** The names of the labels, by `id2label` of the model's config; `LABEL_0` and so on where it has none. */
  readonly labels: readonly string[];
  /** The longest text in tokens; a longer one is cut and reported in `truncated`. */
  readonly maxTokens: number;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}
