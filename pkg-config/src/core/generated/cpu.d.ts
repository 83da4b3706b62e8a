import type {
  Embeddings,
  HiddenStates,
  ImageEmbeddings,
  IndexMetric,
  IndexPrecision,
  LabelScore,
  Likelihoods,
  SearchHit,
  StoredModel,
  VectorId,
} from '../../../types/index.js';
import type { ImageInput } from '../../inputs/images.js';
import type { CoreClassifier, CoreEvaluation, CoreInfo, CorePlan, WasmSource } from '../glue.js';

/** The JavaScript that wasm-bindgen writes for a core, with the additions of `build/glue.mjs`. Its names are declared here only. */
export default function init(source: {
  module_or_path: WasmSource | Promise<WasmSource>;
  /** For further threads of the core with shared memory. */
  memory?: WebAssembly.Memory;
  thread_stack_size?: number;
}): Promise<unknown>;

export declare function coreInfo(): CoreInfo;

/** A loaded decoder inside a core's memory. */
export declare class DecoderHandle {
  static load(model: string, options: object): Promise<DecoderHandle>;
  hiddenStates(texts: unknown, options: object): Promise<HiddenStates>;
  likelihoods(texts: unknown, options: object): Promise<Likelihoods[]>;
  readonly commit: string;
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly layers: number;
  readonly isCut: boolean;
  free(): void;
}

/** A loaded model inside a core's memory. */
export declare class TextEmbedderHandle {
  private constructor();
  /** `options` are `LoadOptions` with `device` and `dtype` decided. */
  static load(model: string, options: object): Promise<TextEmbedderHandle>;
  embed(texts: unknown, options: unknown): Promise<Embeddings>;
  hiddenStates(texts: unknown, options: unknown): Promise<HiddenStates>;
  /** The ids of each text's tokens, as the model reads it. */
  tokens(texts: unknown, options: unknown): Promise<Uint32Array[]>;
  /** The commit of the files, or its stand-in if they come from no commit. */
  readonly commit: string;
  readonly dimensions: number;
  readonly maxTokens: number;
  readonly prompts: object;
  readonly defaultPrompt: string;
  readonly similarity: string;
  readonly layers: number;
  /** Whether the model has more layers than were loaded. */
  readonly isCut: boolean;
  free(): void;
}

/** A loaded classifier of whole texts inside a core's memory. */
export declare class SequenceClassifierHandle {
  static load(model: string, options: object): Promise<SequenceClassifierHandle>;
  classify(
    texts: unknown,
    options: object,
  ): Promise<{ logits: Float32Array; probabilities: Float64Array; tokens: number; truncated: boolean }[]>;
  scorePairs(
    first: string,
    seconds: readonly string[],
    options: object,
  ): Promise<{ score: number; logit: number; tokens: number; truncated: boolean }[]>;
  readonly commit: string;
  /** The names of the labels, in the order of the probabilities. */
  readonly labels: string[];
  readonly maxTokens: number;
  free(): void;
}

/** Loaded towers of CLIP inside a core's memory. */
export declare class ImageTextEmbedderHandle {
  private constructor();
  static load(model: string, options: object): Promise<ImageTextEmbedderHandle>;
  embedTexts(texts: unknown, options: unknown): Promise<Embeddings>;
  /** Calls `read` for one image after the other. */
  embedImages(
    count: number,
    read: (index: number) => Promise<ImageInput | undefined>,
    report: boolean,
    options: unknown,
  ): Promise<ImageEmbeddings & { errors: unknown[] }>;
  classify(image: ImageInput, labels: unknown, templates: unknown, options: unknown): Promise<LabelScore[]>;
  /** The commit of the files, or its stand-in if they come from no commit. */
  readonly commit: string;
  readonly dimensions: number;
  readonly maxTokens: number | undefined;
  free(): void;
}

/** A loaded digit generator inside a core's memory. */
export declare class DigitGeneratorHandle {
  private constructor();
  /** `options` are `LoadOptions` with the weights in `files`. */
  static load(options: object): Promise<DigitGeneratorHandle>;
  /** Takes seven numbers for each digit, see `inputs/digit-requests.ts`, and returns 784 grey values for each. */
  generate(requests: Float64Array, options: object): Promise<Uint8Array>;
  free(): void;
}

/** A loaded digit classifier inside a core's memory. */
export declare class DigitClassifierHandle {
  private constructor();
  static load(options: object): Promise<DigitClassifierHandle>;
  /** Returns ten probabilities for each digit of 784 grey values. */
  read(digits: Uint8Array, options: object): Promise<Float32Array>;
  free(): void;
}

/** An index inside a core's memory. Its calls are synchronous, except those that use a store. */
export declare class VectorIndexHandle {
  constructor(options: object);
  static fromBytes(bytes: Uint8Array): VectorIndexHandle;
  static load(name: string, options: object): Promise<VectorIndexHandle | undefined>;
  static delete(name: string, options: object): Promise<boolean>;
  readonly size: number;
  readonly dimensions: number;
  readonly precision: IndexPrecision;
  readonly metric: IndexMetric;
  readonly prefilter: boolean;
  readonly source: string | undefined;
  readonly memoryBytes: number;
  /** The number of bytes that `write` fills. */
  readonly byteLength: number;
  has(id: VectorId): boolean;
  ids(): VectorId[];
  add(ids: readonly VectorId[], vectors: Float32Array, tags: unknown): void;
  update(ids: readonly VectorId[], vectors: Float32Array, tags: unknown): void;
  remove(ids: readonly VectorId[]): number;
  search(query: Float32Array, k: number, options: object): SearchHit[];
  write(to: Uint8Array): void;
  save(name: string, options: object): Promise<void>;
  free(): void;
}

/** A classifier of vectors inside a core's memory. */
export declare class ClassifierHandle {
  private constructor();
  /**
   * `options` are `HeadOptions` with `vectors`, `dimensions`, `classes`, `classCount` and `labelTexts`. Without `normalize: false` the head
   * takes vectors of length one, and the examples are kept.
   */
  static fit(options: object): Promise<ClassifierHandle>;
  static crossValidate(options: object): Promise<CoreEvaluation>;
  /** `json` is the part of a `ClassifierJson` that `toJSON` returns, and the `classCount`. */
  static fromJSON(json: object): ClassifierHandle;
  toJSON(): CoreClassifier;
  /** Returns four values and the probabilities for each vector, see `text-classifier.ts`. */
  classify(vectors: Float32Array, dimensions: number, options: object): Promise<Float64Array>;
  evaluate(vectors: Float32Array, dimensions: number, classes: Uint32Array, options: object): Promise<CoreEvaluation>;
  threshold(rate: number): number | undefined;
  vectors(): Float32Array | undefined;
  readonly dimensions: number | undefined;
  free(): void;
}

/** The kinds of objects that are saved as JSON. */
export type TextKind = 'classifier' | 'detector' | 'record';

/** JSON under a name. `options` has `store` and `locks`. */
export declare function saveText(kind: TextKind, name: string, text: string, options: object): Promise<void>;
export declare function loadText(kind: TextKind, name: string, options: object): Promise<string | undefined>;
export declare function deleteText(kind: TextKind, name: string, options: object): Promise<boolean>;
export declare function listTexts(kind: TextKind, options: object): Promise<string[]>;

/** `options` are `LoadOptions` with `device` and `dtype` decided. */
export declare function planModel(model: string, options: object): Promise<CorePlan>;
export declare function refreshModel(model: string, options: object): Promise<void>;
export declare function listModels(options: object): Promise<StoredModel[]>;
export declare function deleteModel(key: string, options: object): Promise<boolean>;
export declare function exportModel(
  key: string,
  take: (file: string, bytes: Uint8Array) => Promise<void>,
  options: object,
): Promise<boolean>;
export declare function sweepModels(options: object): Promise<void>;

/** Makes a new instance of the same module; objects of the old one must not be used. */
export declare function __wbg_reset_state(): Promise<void>;
/** The code that this core runs, compiled; undefined before it is started. */
export declare function compiledModule(): WebAssembly.Module | undefined;
/** Sets the listener for traps. */
export declare function onTrap(listener: (error: unknown) => void): void;
/** Reports a trap to the listener, and disables the callbacks of the trapped instance. */
export declare function trapped(error: unknown): void;
