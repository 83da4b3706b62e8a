import type {
  AdapterReport,
  Embeddings,
  ImageEmbeddings,
  IndexPrecision,
  LabelScore,
  LoadPlan,
  SearchHit,
  StoredModel,
  VectorId,
} from '../types/index.js';
import type { Picture } from './images.js';

/** What WebAssembly code can be made from. */
export type WasmSource = WebAssembly.Module | BufferSource | Response;

/** What a core says of itself. `memoryBytes` is its linear memory, which only ever grows. */
export interface CoreInfo {
  version: string;
  simd: 'simd128' | 'relaxed-simd';
  webgpu: boolean;
  memoryBytes: number;
}

/** A loaded model inside a core's memory. */
export interface TextEmbedderHandle {
  embed(texts: unknown, options: unknown): Promise<Embeddings>;
  readonly dimensions: number;
  readonly maxTokens: number;
  free(): void;
}

/** Loaded towers of CLIP inside a core's memory. */
export interface ImageTextEmbedderHandle {
  embedTexts(texts: unknown, options: unknown): Promise<Embeddings>;
  /** Asks for one picture after the other. */
  embedImages(count: number, picture: (index: number) => Promise<Picture>, options: unknown): Promise<ImageEmbeddings>;
  classify(picture: Picture, labels: unknown, templates: unknown, options: unknown): Promise<LabelScore[]>;
  readonly dimensions: number;
  readonly maxTokens: number | undefined;
  free(): void;
}

/** A loaded digit generator inside a core's memory. */
export interface DigitGeneratorHandle {
  /** Seven numbers for each picture, see `sketches.ts`; 784 grey values for each come back. */
  generate(sketches: Float64Array, options: object): Promise<Uint8Array>;
  free(): void;
}

/** A loaded judge inside a core's memory. */
export interface DigitClassifierHandle {
  /** Ten probabilities for each picture of 784 grey values. */
  read(pictures: Uint8Array, options: object): Promise<Float32Array>;
  free(): void;
}

/** An index inside a core's memory. Its calls compute until they are done, but for `save`. */
export interface VectorIndexHandle {
  readonly size: number;
  readonly dimensions: number;
  readonly precision: IndexPrecision;
  readonly prefilter: boolean;
  readonly source: string | undefined;
  readonly memoryBytes: number;
  /** What `write` fills. */
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

/** Outcome of the WebGPU self-test: the timed probe on both processors, and the largest difference of their results. */
export interface GpuReport {
  adapter: AdapterReport;
  cpuMs: number;
  gpuMs: number;
  maxAbsError: number;
}

/** What a core knows of a plan. */
export type CorePlan = Omit<LoadPlan, 'model' | 'device' | 'dtype' | 'reason' | 'fits' | 'problem'>;

/** The JavaScript that wasm-bindgen writes for a core, with the additions of `build/glue.mjs`. */
export interface Glue {
  default(source: { module_or_path: WasmSource | Promise<WasmSource> }): Promise<unknown>;
  coreInfo(): CoreInfo;
  /** `options` are `LoadOptions` with `device` and `dtype` decided. */
  TextEmbedderHandle: { load(model: string, options: object): Promise<TextEmbedderHandle> };
  ImageTextEmbedderHandle: { load(model: string, options: object): Promise<ImageTextEmbedderHandle> };
  /** `options` are `LoadOptions` with the weights in `files`. */
  DigitGeneratorHandle: { load(options: object): Promise<DigitGeneratorHandle> };
  DigitClassifierHandle: { load(options: object): Promise<DigitClassifierHandle> };
  VectorIndexHandle: {
    new (options: object): VectorIndexHandle;
    fromBytes(bytes: Uint8Array): VectorIndexHandle;
    load(name: string, options: object): Promise<VectorIndexHandle | undefined>;
    delete(name: string, options: object): Promise<boolean>;
  };
  planModel(model: string, options: object): Promise<CorePlan>;
  refreshModel(model: string, options: object): Promise<void>;
  listModels(options: object): Promise<StoredModel[]>;
  deleteModel(key: string, options: object): Promise<boolean>;
  exportModel(key: string, take: (file: string, bytes: Uint8Array) => Promise<void>, options: object): Promise<boolean>;
  sweepModels(options: object): Promise<void>;
  /** Only in the WebGPU core. Creates the device and tests it. */
  initGpu?(): Promise<GpuReport>;
  /** A new instance of the same module; objects of the old one are dead. */
  __wbg_reset_state(): Promise<void>;
  /** Sets who hears of a trap, and says that there was one to the caller and to stale callbacks. */
  onTrap(listener: (error: unknown) => void): void;
  trapped(error: unknown): void;
}
