/** Where the arithmetic runs. `'auto'` means the CPU unless a real GPU passes the self-test and is faster. */
export type Device = 'auto' | 'cpu' | 'webgpu';

/**
 * How weights are kept. `'q8'` is int8 per output channel, with 8-bit (baseline) or 7-bit (relaxed SIMD) activations.
 * `'q4'` is int4 in groups of 32: for models where memory decides, at a price in accuracy.
 */
export type Dtype = 'f32' | 'q8' | 'q4';

/** How one value of an embedding is returned; the names are sentence-transformers'. */
export type Precision = 'float32' | 'int8' | 'uint8' | 'binary' | 'ubinary';

/** A file's bytes, wherever they come from. A stream or a `Response` can be read once. */
export type FileSource = Uint8Array | ArrayBuffer | Blob | Response | ReadableStream<Uint8Array>;

/** A durable key-value store that the host program owns. `put` is durable and atomic per key. */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  /** Every key that starts with `prefix`, in any order. */
  keys(prefix: string): Promise<string[]>;
}

/** How far work has come: bytes where a model is loaded, images where images are embedded. */
export interface Progress {
  /** What is done. */
  loaded: number;
  /** What there is to do, as far as known; 0 while unknown. */
  total: number;
}

/** One step of loading; `loaded` and `total` are bytes, over all files of this load. */
export interface LoadProgress extends Progress {
  /** `'plan'`: asking the host what there is. `'download'`: bytes arrive. `'prepare'`: tokenizer and model are set up. `'ready'`: done. */
  status: 'plan' | 'download' | 'prepare' | 'ready';
  /** The file under way, by its name in the repository. */
  file?: string;
  /** True when the bytes come from the store and not from the network. */
  cached: boolean;
  /** With `'ready'`: by what the bytes were checked when they came from the network. */
  verified?: Verified;
}

/**
 * By what a model's bytes were checked. `'sha256'`: digests of whole files, as the host lists them. `'lock'`: digests of the
 * tensors, from the repository's lock file. `'length'`: lengths and ETags only, because the host gives no digests.
 */
export type Verified = 'sha256' | 'lock' | 'length';

export interface LoadOptions {
  /** Default `'auto'`. */
  device?: Device;
  /** Default `'q8'` on the CPU, `'f32'` on WebGPU. */
  dtype?: Dtype;
  /** Branch, tag or commit; default `'main'`. */
  revision?: string;
  /** Files are at `{host}/{model}/resolve/{revision}/{file}`; default `'https://huggingface.co'`. */
  host?: string;
  /** Sent as an Authorization header to `host` alone, never in a URL. */
  token?: string;
  /** Own bytes by file name instead of the hub: `{ 'config.json': …, 'tokenizer.json': …, 'model.safetensors': … }`. */
  files?: Record<string, FileSource>;
  /** Where the packed model is kept; default `'indexeddb'` where there is one, else `'memory'`. `false` keeps nothing. */
  store?: 'indexeddb' | 'memory' | false | Store;
  /** Whether other models, the least recently used first, may be deleted where the store is full; default `false`. */
  evict?: boolean;
  /**
   * Milliseconds without a byte after which a connection is given up and tried again; default 20000.
   * A download that was under way fails after three times as long without a byte; the next load goes on with it.
   */
  timeout?: number;
  /** Cancels the load; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  onProgress?: (event: LoadProgress) => void;
}

export interface EmbedOptions {
  /** Keep only the first values and normalize again (Matryoshka); 1 to the model's dimensions. */
  dimensions?: number;
  /** Default `'float32'`. `'binary'` and `'ubinary'` pack eight signs into a byte. */
  precision?: Precision;
  /** Cancels between batches and layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

export interface Embeddings {
  /** All rows one after the other. The caller owns the memory. */
  data: Float32Array | Int8Array | Uint8Array;
  /** Rows, and values a row (bytes a row for the binary precisions). */
  dims: [number, number];
  /** Tokens that went through the model for each text, special tokens and truncation included. */
  tokens: number[];
  /** Whether a text was longer than `maxTokens` and was cut. */
  truncated: boolean[];
}

/** The adapter that WebGPU runs on, as far as the browser tells. */
export interface AdapterReport {
  vendor: string;
  architecture: string;
  description: string;
  /** True for a software adapter; `'auto'` never takes one. */
  software: boolean;
}

/** What runs the model, and why. */
export interface BackendReport {
  device: 'cpu' | 'webgpu';
  dtype: Dtype;
  /** SIMD level of the CPU code. */
  simd: 'simd128' | 'relaxed-simd';
  /** One sentence for people: why this device was taken, or why the wanted one was not. */
  reason: string;
  adapter?: AdapterReport;
}

/** Encodes texts as vectors; their cosine measures semantic similarity. */
export declare class TextEmbedder {
  private constructor();
  /**
   * Loads a BERT-type sentence encoder, from the store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: LoadOptions): Promise<TextEmbedder>;
  /**
   * Embeds texts; the same text gives the same vector whatever else is in the batch.
   * On the CPU it computes on the calling thread and yields to the event loop between layers.
   * Calls on one embedder run one after another; one that is aborted while it waits rejects at once.
   * An empty list gives `dims: [0, dimensions]`.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, `INVALID_WEIGHTS` where the tokenizer gives an id that
   * the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  embed(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>;
  /** Values of one vector. */
  readonly dimensions: number;
  /** Longest text in tokens; what is over is cut and reported in `truncated`. */
  readonly maxTokens: number;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}

/** One half of CLIP: the one that reads, or the one that sees. */
export type Tower = 'text' | 'image';

export interface ImageTextLoadOptions extends LoadOptions {
  /**
   * What is loaded; default both. Each tower is fetched, kept and listed by itself: text search over saved vectors needs
   * `['text']` only. A stream in `files` can be read once, so give both towers bytes or a `Blob`.
   */
  towers?: readonly Tower[];
}

/** A picture: a file's bytes wherever they are, its URL, or pixels. PNG, JPEG, WebP and GIF (the first frame) are decoded. */
export type ImageSource =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | URL
  | string
  | ImageData
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas;

interface PictureOptions {
  /**
   * Who decodes files: default `'pilotlight'`, the same pixels in every browser and in Node; `'browser'` may know more
   * formats (AVIF) and differs in the last bits.
   */
  decoder?: 'pilotlight' | 'browser';
}

export interface EmbedImagesOptions extends EmbedOptions, PictureOptions {
  /** Is told after each image. */
  onProgress?: (progress: Progress) => void;
}

/** Vectors of pictures. */
export type ImageEmbeddings = Pick<Embeddings, 'data' | 'dims'>;

export interface ClassifyOptions extends PictureOptions {
  /**
   * What a caption would say, with `{}` where the label goes; default `'a photo of a {}.'`. Of several, each label's vectors
   * are averaged, which is steadier.
   */
  template?: string | readonly string[];
  /** Cancels between layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** How likely a label is, 0 to 1. */
export interface LabelScore {
  label: string;
  score: number;
}

/** Turns pictures and texts into vectors of one space: the cosine of a picture and a text says how well they fit. */
export declare class ImageTextEmbedder {
  private constructor();
  /**
   * Loads a CLIP model such as `'openai/clip-vit-base-patch32'`, each tower from the store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: ImageTextLoadOptions): Promise<ImageTextEmbedder>;
  /**
   * Embeds texts; vectors have length one, and the same text gives the same vector whatever else is in the batch.
   * Calls on one embedder run one after another; one that is aborted while it waits rejects at once.
   * @throws {PilotlightError} `INVALID_INPUT`, also without the text tower, `INVALID_WEIGHTS` where the tokenizer gives an id that the
   * model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  embedTexts(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>;
  /**
   * Embeds pictures; vectors have length one. One picture is read and decoded at a time, on the calling thread, and it yields
   * to the event loop between layers. What is transparent is laid on white; EXIF orientation is heeded. Memory grows with the
   * largest picture, three to sixteen bytes a pixel, and is not given back before the page goes.
   * @throws {PilotlightError} naming the picture by its index: `INVALID_INPUT` for what is no picture or is broken, also without
   * the image tower, `RESOURCE_LIMIT` over 50 million pixels or 256 MB, `FETCH_FAILED` for a URL, `BACKEND_UNAVAILABLE` where the
   * runtime has no canvas or decoder that the image needs, `ABORTED`, `DISPOSED`
   */
  embedImages(images: ImageSource | readonly ImageSource[], options?: EmbedImagesOptions): Promise<ImageEmbeddings>;
  /**
   * Says how likely each label is for a picture, the likeliest first; the scores sum to one. The vectors of the labels asked for
   * last are kept. Needs both towers.
   * @throws {PilotlightError} as `embedImages`, and `INVALID_INPUT` for labels or a template that are none
   */
  classify(image: ImageSource, labels: readonly string[], options?: ClassifyOptions): Promise<LabelScore[]>;
  /** Values of one vector. */
  readonly dimensions: number;
  /** Longest text in tokens; absent without the text tower. */
  readonly maxTokens?: number;
  /** What was loaded. */
  readonly towers: readonly Tower[];
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}

/** How an index keeps each value: 4 bytes, 1 byte (by a scale for each vector) or 1 bit (its sign). */
export type IndexPrecision = 'float32' | 'int8' | 'binary';

/** What a vector is found by: a text, or a safe integer. `1` and `'1'` are different ids. */
export type VectorId = string | number;

/** Vectors in the order of their ids: all values one after the other, an array for each vector, or what `embed` gave (`'float32'`). */
export type Vectors = Float32Array | readonly (readonly number[] | Float32Array)[] | Pick<Embeddings, 'data' | 'dims'>;

/** One vector. */
export type Query = Float32Array | readonly number[] | Pick<Embeddings, 'data' | 'dims'>;

export interface VectorIndexOptions {
  /** Values of a vector, 1 to 32768. */
  dimensions: number;
  /** Default `'int8'`: a quarter of the memory of `'float32'`, and scores that usually differ from its by less than 0.01. */
  precision?: IndexPrecision;
  /**
   * Keeps the sign of each value beside the rows, an eighth of `'int8'` more. Large sets are then searched by the signs first, and
   * what is near by them is scored by the rows: several times as fast, and nearly always the same answer. Default `false`.
   */
  prefilter?: boolean;
  /** What made the vectors: model, dtype and build. It is kept and shown; vectors of different ones cannot be compared. */
  source?: string;
}

export interface AddOptions {
  /** Tags to filter by: one list for all vectors of the call, or a list for each. */
  tags?: readonly string[] | readonly (readonly string[])[];
}

/** Vectors that have all of the tags, or with `match: 'any'` at least one. */
export interface TagFilter {
  tags: readonly string[];
  /** Default `'all'`. */
  match?: 'all' | 'any';
}

export interface SearchOptions {
  /**
   * Which vectors may be found. A function is asked of an id at most once: of those that are among the best so far, or of all with the
   * prefilter and with `'binary'`. It may not change the index; what it throws, the search throws. Tags cost next to nothing.
   */
  filter?: ((id: VectorId) => boolean) | TagFilter;
  /** Scores every row, though there is a prefilter. */
  exact?: boolean;
  /** How many vectors the prefilter lets through; default 15 times `k`, and 150 or more. Sets of up to twice as many are searched exactly. */
  candidates?: number;
}

export interface SearchHit {
  id: VectorId;
  /** The cosine, -1 to 1: of the vectors as they are kept. */
  score: number;
}

/**
 * Vectors by id, searched by cosine, in WebAssembly memory. Its calls compute on the calling thread until they are done: 100,000
 * vectors of 512 values in `'int8'` are searched through in about 3 ms, and with the prefilter in less than 1 ms. Independent of models.
 */
export declare class VectorIndex {
  private constructor();
  /** Makes an empty index. @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED` or `BACKEND_UNAVAILABLE` where the core cannot start */
  static create(options: VectorIndexOptions): Promise<VectorIndex>;
  /**
   * Adds vectors behind those there are: all, or none where one is wrong. Their lengths do not matter. The arrays stay the caller's.
   * @throws {PilotlightError} `INVALID_INPUT` naming the row: an id that is there already or comes twice, a vector of another length,
   * with a value that is not finite, or of zeros alone; `RESOURCE_LIMIT`, `DISPOSED`
   */
  add(ids: readonly VectorId[], vectors: Vectors, options?: AddOptions): void;
  /**
   * Replaces the vectors of ids that are there, in their places, and their tags where `tags` is given; all or none.
   * @throws {PilotlightError} as `add`, and `INVALID_INPUT` for an id that is not there
   */
  update(ids: readonly VectorId[], vectors: Vectors, options?: AddOptions): void;
  /** Removes vectors and returns how many; ids that are not there are no error. @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED` */
  remove(ids: readonly VectorId[]): number;
  /**
   * The `k` vectors with the largest cosines, the largest first, equal ones in the order in which they were added; all where there are
   * fewer than `k`.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `DISPOSED`
   */
  search(query: Query, k: number, options?: SearchOptions): SearchHit[];
  /** Whether a vector of this id is in the index. @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED` */
  has(id: VectorId): boolean;
  /** All ids in the order in which they were added. @throws {PilotlightError} `DISPOSED` */
  ids(): VectorId[];
  /** How many vectors there are. @throws {PilotlightError} `DISPOSED` */
  readonly size: number;
  readonly dimensions: number;
  readonly precision: IndexPrecision;
  readonly prefilter: boolean;
  /** What made the vectors, where it was told. */
  readonly source?: string;
  /** Bytes of WebAssembly memory that it takes, about. @throws {PilotlightError} `DISPOSED` */
  readonly memoryBytes: number;
  /** The index as bytes, with a digest; the caller owns them. Equal indexes give equal bytes. @throws {PilotlightError} `RESOURCE_LIMIT`, `DISPOSED` */
  toBytes(): Uint8Array<ArrayBuffer>;
  /**
   * Makes an index of the bytes that `toBytes` gave; they stay the caller's.
   * @throws {PilotlightError} `INVALID_INPUT` for what `toBytes` never gave, `INTEGRITY` where it was altered, `RESOURCE_LIMIT`
   */
  static fromBytes(bytes: Uint8Array): Promise<VectorIndex>;
  /**
   * Keeps the index, as it is at the call, under a name; it may be changed and disposed of meanwhile. Only what changed since the last
   * save is written, in parts of about 2 MiB, and until all of it is there the former version is what `load` gives.
   * `models` neither lists nor deletes it.
   * @throws {PilotlightError} `QUOTA_EXCEEDED`, `INVALID_INPUT`, `BACKEND_UNAVAILABLE`, `DISPOSED`
   */
  save(name: string, options?: StoreOptions): Promise<void>;
  /**
   * Loads what was saved under a name; `undefined` where there is nothing.
   * @throws {PilotlightError} `INVALID_INPUT`, `INTEGRITY` where it was altered, `RESOURCE_LIMIT`, `BACKEND_UNAVAILABLE`
   */
  static load(name: string, options?: StoreOptions): Promise<VectorIndex | undefined>;
  /**
   * Removes what was saved under a name; false where there is nothing. An index that is loaded goes on working.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  static delete(name: string, options?: StoreOptions): Promise<boolean>;
  /**
   * Frees its memory. Later calls throw `'DISPOSED'`; calling it twice is fine.
   * @throws {PilotlightError} `INVALID_INPUT` when the filter of a search calls it
   */
  dispose(): void;
}

export interface DigitLoadOptions {
  /** Default `'cpu'`: a digit takes it less time than the WebGPU code takes to come. */
  device?: Device;
  /** Own weights, as `make train-digits` writes them, instead of those in the package. */
  weights?: FileSource;
  /** Cancels the load; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  onProgress?: (event: LoadProgress) => void;
}

/** How digits are drawn. */
export interface DrawOptions {
  /** 0 to 2^53 - 1: the same seed gives the same pictures on the same backend and build. Default a fresh one, told in the result. */
  seed?: number;
  /** How often the network is asked, 1 to 100; default 7. */
  steps?: number;
  /**
   * 0 to 20: 1 draws digits as they are written, more makes them clearer and more alike. Default 1.75.
   * It acts while the digit takes shape, so not at all with one or two steps.
   */
  guidance?: number;
  /** Cancels within one step; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  /** Is shown the pictures as they are after each step, from noise to digit; the last ones are the result. */
  onStep?: (step: DrawStep) => void;
}

export interface DrawStep {
  /** 1 to `steps`. */
  step: number;
  steps: number;
  digits: Digits;
}

/** What to draw: exactly one of `digit`, `digits` and `text`; 10,000 pictures at most. */
export interface GenerateOptions extends DrawOptions {
  /** 0 to 9. */
  digit?: number;
  digits?: readonly number[];
  /** The digits of a number, such as `'2026'`. */
  text?: string;
  /** How often all of it is drawn, each time in another hand; default 1. Picture `i` of a seed does not depend on the count. */
  count?: number;
}

/** Where a morph begins or ends. */
export interface MorphEnd {
  /** 0 to 9. */
  digit: number;
  /** Default the seed of the other end, so that the hand stays the same. */
  seed?: number;
}

export interface MorphOptions extends DrawOptions {
  from: MorphEnd;
  to: MorphEnd;
  /** Pictures in all, both ends included, 2 to 10,000; default 9. */
  count?: number;
}

/** One grey picture. */
export interface Picture {
  /** Row by row: 0 is paper, 255 is ink. */
  readonly data: Uint8Array;
  /** Rows and columns. */
  readonly dims: [number, number];
  /** White ink on black. @throws {PilotlightError} `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(): ImageData;
  /** As a PNG file, in any runtime. It never throws. */
  toBlob(): Promise<Blob>;
}

/** Drawn digits. */
export interface Digits {
  /** Picture after picture, row by row: 0 is paper, 255 is ink, as in MNIST. The caller owns the memory. */
  readonly data: Uint8Array;
  /** Pictures, rows, columns: `[n, 28, 28]`. */
  readonly dims: [number, number, number];
  /** What each was to be; in a morph the nearer end. */
  readonly digits: number[];
  /** Draws the same again. */
  readonly seed: number;
  /** One of them, white on black; default the first. @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(index?: number): ImageData;
  /** One of them as a PNG file; default the first. @throws {PilotlightError} `INVALID_INPUT` */
  toBlob(index?: number): Promise<Blob>;
  /** All of them side by side; by default what was asked for in a row, one digit alone in a square. @throws {PilotlightError} `INVALID_INPUT` */
  toGrid(columns?: number): Picture;
}

/** Draws handwritten digits. Its weights are in the package: nothing is fetched from a model host. */
export declare class DigitGenerator {
  private constructor();
  /**
   * Loads the generator from the package's own files.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INVALID_WEIGHTS`, `RESOURCE_LIMIT`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(options?: DigitLoadOptions): Promise<DigitGenerator>;
  /**
   * Draws digits, in the order asked for. On the CPU it computes on the calling thread and yields to the event loop between layers.
   * Calls on one generator run one after another; one that is aborted while it waits rejects at once.
   * @throws {PilotlightError} `INVALID_INPUT` naming the option and its range, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  generate(options: GenerateOptions): Promise<Digits>;
  /** Draws evenly spaced pictures on the way from one digit or seed to another. @throws {PilotlightError} as `generate` */
  morph(options: MorphOptions): Promise<Digits>;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}

export type ErrorCode =
  | 'INVALID_INPUT'
  | 'INVALID_WEIGHTS'
  | 'UNSUPPORTED_MODEL'
  | 'RESOURCE_LIMIT'
  | 'FETCH_FAILED'
  | 'INTEGRITY'
  | 'QUOTA_EXCEEDED'
  | 'BACKEND_UNAVAILABLE'
  | 'ABORTED'
  | 'DISPOSED'
  | 'INTERNAL';

/** Why a file could not be fetched. */
export type FetchReason =
  /** No answer came: there is no network, no such host, or the host does not allow this page to ask (CORS). */
  | 'unreachable'
  /** The answer's HTTP status is no success, or the repository has no such file; see `status`. */
  | 'status'
  /** The answer is a web page instead of the file: a sign-in page, or a site that is no model host. */
  | 'html'
  /** No byte came for as long as `timeout`. */
  | 'stalled';

/** The one error class; `message` names the thing, what was expected and what came. */
export declare class PilotlightError extends Error {
  constructor(code: ErrorCode, message: string, cause?: unknown);
  readonly name: 'PilotlightError';
  readonly code: ErrorCode;
  readonly cause?: unknown;
  /** With `'QUOTA_EXCEEDED'`: bytes that the model takes in the store, or that saving an index had to write, and bytes that were left, where that is known. */
  readonly needed?: number;
  readonly available?: number;
  /** With `'FETCH_FAILED'`: the HTTP status of the answer; 404 also where the repository, or `files`, has no such file. */
  readonly status?: number;
  /** With `'FETCH_FAILED'`: why, where it is one of these reasons; absent for one, when a connection breaks off. */
  readonly reason?: FetchReason;
  /** The file that the failure is about, by its name in the repository, where it is one. */
  readonly file?: string;
  /** The tensor that the failure is about, by its name in the file, where it is one. */
  readonly tensor?: string;
}

/** What loading a model would take. */
export interface LoadPlan {
  model: string;
  /** The class whose `load` loads it. */
  class: 'TextEmbedder' | 'ImageTextEmbedder';
  /** What the revision stands for; absent where the host has no commits. */
  commit?: string;
  /** Where it would run and how its weights would be kept, and why. */
  device: 'cpu' | 'webgpu';
  dtype: Dtype;
  reason: string;
  /** The files that are read, with the bytes that are needed of them, where the host tells. */
  files: { path: string; bytes?: number }[];
  /** Tensors that are needed; 0 where the model is whole in the store. */
  tensors: number;
  /** Bytes that would come from the network, and those that came before. */
  fetchBytes: number;
  cachedBytes: number;
  /** Bytes that the model takes in the store, and those that the store has left, where that is known. */
  storeBytes: number;
  availableBytes?: number;
  /** WebAssembly memory that it takes, about. */
  memoryBytes: number;
  /** Whether the model is whole in the store, so that loading makes no request. */
  whole: boolean;
  /** Whether there is room for it; if not, `problem` says in a sentence what is missing. */
  fits: boolean;
  problem?: string;
}

/** A model in a store. */
export interface StoredModel {
  /** To delete it by. */
  key: string;
  host: string;
  model: string;
  revision: string;
  commit: string;
  dtype: Dtype;
  /** Which part of the model it is, where parts are kept by themselves: a tower of CLIP. */
  part?: Tower;
  bytes: number;
  /** When it was loaded last, where that is known, in milliseconds since 1970. */
  lastUsed?: number;
  /** False for a download that was broken off: the next load goes on with it. */
  whole: boolean;
  /** By what it was checked; absent while it is not whole. */
  verified?: Verified;
  /** Of all its files: the same at another commit that left them alone, so it tells whose vectors compare. Absent while it is not whole. */
  digest?: string;
}

/** Which store; default `'indexeddb'` where there is one, else `'memory'`. */
export interface StoreOptions {
  store?: 'indexeddb' | 'memory' | Store;
}

/** What is stored, and what loading would take. */
export declare const models: {
  /**
   * Says what loading a sentence encoder or CLIP would take. Asks the host for sizes and reads small files and the header of the
   * weights, but loads nothing.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `ABORTED`
   */
  plan(model: string, options?: ImageTextLoadOptions): Promise<LoadPlan>;
  /**
   * Lists every model of the store, the largest first, downloads that were broken off too.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  list(options?: StoreOptions): Promise<StoredModel[]>;
  /**
   * Deletes by the key that `list` gave; false where there is no such model. A model that is loaded goes on working.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  delete(key: string, options?: StoreOptions): Promise<boolean>;
  /**
   * Tells the bytes of all models, and what the runtime says of the whole origin, where it says so.
   * @throws {PilotlightError} as `list`
   */
  usage(
    options?: StoreOptions,
  ): Promise<{ modelBytes: number; originBytes?: number; quotaBytes?: number; persisted: boolean }>;
  /** Asks the browser, once, to keep this origin's storage when space gets scarce. `reason` is a sentence for people. It never throws. */
  persist(): Promise<{ persisted: boolean; reason: string }>;
};

/** Where the WebAssembly code comes from when a bundler or host cannot find it by itself. */
export interface InitOptions {
  wasm?: WebAssembly.Module | BufferSource | Response | URL | string;
}

/**
 * Gets the CPU code ready ahead of the first `load`; calling it is optional and repeatable.
 * @throws {PilotlightError} `FETCH_FAILED` where the code cannot be had, `BACKEND_UNAVAILABLE` where it cannot run
 */
export declare function init(options?: InitOptions): Promise<void>;

/** Versions, runtime, SIMD, WebGPU adapter, storage and memory in one JSON-able object for a bug report. Starts no model, makes no request to a model host, and never throws: a part that fails says so in its place. */
export declare function diagnose(): Promise<Record<string, unknown>>;
