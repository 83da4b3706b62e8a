import type { BackendReport, Dtype, Embeddings, LoadOptions, SequenceClassifier, StoreOptions } from './index.js';

/** An object that embeds texts: a `TextEmbedder`, or any other with these members. */
export interface Embedder {
  embed(
    texts: string | readonly string[],
    options?: { prompt?: string; signal?: AbortSignal },
  ): Promise<Pick<Embeddings, 'data' | 'dims'>>;
  readonly dimensions: number;
  readonly backend?: Pick<BackendReport, 'dtype' | 'simd'>;
}

/** The model, weights and build that made the vectors of a classifier. */
export interface EmbedderIdentity {
  model?: string;
  /** The commit of the model's files, or a stand-in if the files are the caller's. */
  commit?: string;
  /** The number of layers, where only the first ones of the model were loaded. */
  layers?: number;
  dtype?: Dtype;
  simd?: 'simd128' | 'relaxed-simd';
  dimensions?: number;
  /** The prompt with which texts are embedded. */
  prompt?: string;
}

/** Texts with their labels; or vectors that were made already, `dimensions` values for each label. */
export type ClassifierExamples =
  | readonly { text: string; label: string }[]
  | { texts: readonly string[]; labels: readonly string[] }
  | { vectors: Float32Array; labels: readonly string[]; texts?: readonly string[] };

/** The progress of a fit: `'embed'` counts texts, `'fit'` percent. */
export interface FitProgress {
  status: 'embed' | 'fit';
  loaded: number;
  total: number;
}

export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (event: FitProgress) => void;
}

/** The options of a head, which are kept in the JSON. */
export interface HeadOptions {
  /** The kind of head; default `'logistic'`. `'prototype'` and `'knn'` need no fit, and suit one or two examples for each label. */
  head?: 'logistic' | 'linear-svm' | 'rbf-svm' | 'prototype' | 'knn';
  /** The weight of errors against the penalty, as in scikit-learn; default 10, and 1 for `'linear-svm'`. */
  C?: number;
  /** γ of `'rbf-svm'`; default scikit-learn's `'scale'`. */
  gamma?: number;
  /** The number of neighbours of `'knn'`; default 5. */
  k?: number;
  /** The gradient, or violation, at which a fit ends; default 1e-5 for `'logistic'`, 1e-4 and 1e-3 for the machines. */
  tolerance?: number;
  /** Determines the folds and the order of examples; default 0. The same examples and seed give the same bits everywhere. */
  seed?: number;
}

export interface FitOptions extends HeadOptions, CallOptions {
  /**
   * Whether the name of each label is one more example, `-` and `_` as spaces; a function returns other names. The default is true
   * for fewer than 10 examples for each label.
   */
  labelText?: boolean | ((label: string) => string);
  /**
   * The share of good texts that may be refused: `classify` answers `null` if fewer of the held-out examples had as low a score. Default 0: no
   * text is refused.
   */
  unknown?: number;
  /** The scores under which a label is not answered, instead of the one that `unknown` stands for. */
  thresholds?: Record<string, number>;
  /** The prompt that examples and requests are embedded with; default the model's own. */
  prompt?: string;
}

/** Options of `fromJSON` and `open`. */
export interface ImportOptions extends CallOptions {
  /** The prompt that the classifier is expected to have; a classifier of another prompt is refused. */
  prompt?: string;
  /**
   * Whether to embed the kept examples by this embedder and to fit to them, so that thresholds suit its dtype and build. Default false:
   * between q8 and f32, and between builds, the share of refused texts moves by less than a point.
   */
  refit?: boolean;
}

export interface TextClassifyOptions {
  /** The number of labels in `scores`; default 3. */
  topK?: number;
  /** The share of good texts that may be refused, instead of that of `fit`. */
  unknown?: number;
  signal?: AbortSignal;
}

/** The answer for one text. */
export interface Classification {
  /** The label; `null` if the text is not like the examples. */
  label: string | null;
  /** The calibrated probability of the most likely label. */
  probability: number;
  /** The probability times the cosine of the nearest example, by which texts unlike all examples are refused. */
  score: number;
  /** The probability of the first label minus that of the second. */
  margin: number;
  /** The most likely labels, the first one first. */
  scores: { label: string; probability: number }[];
  /** The nearest example; absent where none were kept. */
  nearest?: { text?: string; label: string; cosine: number };
}

export interface ClassifierEvaluation {
  count: number;
  accuracy: number;
  macroF1: number;
  /** The mean distance between probability and accuracy, over 15 bins. */
  calibrationError: number;
  /** Labels that were taken for another, the most frequent pair first, with the texts. */
  confusions: { label: string; predicted: string; texts: string[] }[];
  /** The share of texts that is answered, and the accuracy among them, for each `rate` of refused good texts. */
  coverage: { rate: number; threshold: number; coverage: number; accuracy: number }[];
}

/** A classifier as JSON; `pilotlight_export` for scikit-learn writes `format`, `version`, `labels`, `embedder` and `head`. */
export interface ClassifierJson {
  format: 'pilotlight-classifier';
  version: 1;
  labels: string[];
  embedder?: EmbedderIdentity;
  unknown?: number;
  thresholds?: Record<string, number>;
  options?: HeadOptions;
  texts?: string[];
  labelTexts?: number[];
  head: object;
  examples?: { dimensions: number; vectors: object; classes: number[] };
  heldOut?: [number, boolean][];
}

/** Learns labels of texts from examples, and classifies texts with calibrated probabilities. */
export declare class TextClassifier {
  private constructor();
  /**
   * Loads a model that was trained for labels of its own, which is a `SequenceClassifier`: another name of `SequenceClassifier.load`.
   * Saved classifiers are opened by `open`.
   * @throws {PilotlightError} as `SequenceClassifier.load`
   */
  static load(model: string, options?: LoadOptions): Promise<SequenceClassifier>;
  /**
   * Embeds the examples and fits a head to their vectors.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, and what `embedder.embed` throws
   */
  static fit(embedder: Embedder, examples: ClassifierExamples, options?: FitOptions): Promise<TextClassifier>;
  /**
   * Reads the JSON of `toJSON`, or of `pilotlight_export` in Python. Refuses an embedder of another model, another number of its layers,
   * other dimensions or another prompt. Another dtype, build or commit, or an object that does not name its model, is accepted where
   * the vector of a kept example is nearly the same; `notes` has the differences.
   * @throws {PilotlightError} `INVALID_INPUT`, and with `refit` as `fit`
   */
  static fromJSON(embedder: Embedder, json: string | object, options?: ImportOptions): Promise<TextClassifier>;
  /**
   * Opens the classifier that was saved under a name; `undefined` if there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `INTEGRITY`, `BACKEND_UNAVAILABLE`, and as `fromJSON`
   */
  static open(
    embedder: Embedder,
    name: string,
    options?: ImportOptions & StoreOptions,
  ): Promise<TextClassifier | undefined>;
  /**
   * Deletes the classifier that was saved under a name. Returns false if there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  static delete(name: string, options?: StoreOptions): Promise<boolean>;
  /**
   * Saves the classifier with its examples under a name; an earlier one of this name is replaced when all is written.
   * @throws {PilotlightError} `INVALID_INPUT`, `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `DISPOSED`
   */
  save(name: string, options?: StoreOptions): Promise<void>;
  /** The labels, in the order of their code units. */
  readonly labels: readonly string[];
  /** The number of examples that are kept, names of labels included. */
  readonly size: number;
  /** The scores under which a label is not answered, instead of the one that `unknown` stands for. They may be set, and are kept in the JSON. */
  thresholds: Readonly<Record<string, number>>;
  /** Sentences on the limits of the classifier: that it has too few examples for `unknown`, or how the embedder differs from the one of the fit. */
  readonly notes: readonly string[];
  /**
   * Classifies texts.
   * @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED`, and what `embedder.embed` throws
   */
  classify(texts: string | readonly string[], options?: TextClassifyOptions): Promise<Classification[]>;
  /**
   * Measures the classifier on other examples, or with `{ folds: 5 }` by fitting it five times to four fifths of its own.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`, and what `embedder.embed` throws
   */
  evaluate(examples: ClassifierExamples | { folds: 5 }, options?: CallOptions): Promise<ClassifierEvaluation>;
  /**
   * Adds examples, of new labels too, and fits again; the vectors of the former ones are kept. If it fails, the classifier is not changed.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`, and what `embedder.embed` throws
   */
  add(examples: ClassifierExamples, options?: CallOptions): Promise<void>;
  /**
   * The classifier with its examples, for `JSON.stringify`.
   * @throws {PilotlightError} `DISPOSED`
   */
  toJSON(): ClassifierJson;
  /** Frees its memory, and not that of the embedder. */
  dispose(): void;
}
