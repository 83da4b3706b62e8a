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
  /** The amount that is done. */
  loaded: number;
  /** The amount that there is to do, as far as known; 0 while unknown. */
  total: number;
}

/** One step of loading; `loaded` and `total` are bytes, over all files of this load. */
export interface LoadProgress extends Progress {
  /** `'plan'`: the host is asked for its files. `'download'`: bytes arrive. `'prepare'`: tokenizer and model are set up. `'ready'`: done. */
  status: 'plan' | 'download' | 'prepare' | 'ready';
  /** The file under way, by its name in the repository. */
  file?: string;
  /** True when the bytes come from the store and not from the network. */
  cached: boolean;
  /** With `'ready'`: how the bytes were verified when they came from the network. */
  verified?: Verified;
}

/**
 * The check that a model's bytes have passed. `'sha256'`: by digests of whole files, as the host lists them. `'lock'`: by digests of the
 * tensors, from the repository's lock file. `'length'`: by lengths and ETags only, because the host gives no digests.
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
   * A download that was under way fails after three times as long without a byte; the next load resumes it.
   */
  timeout?: number;
  /** Cancels the load; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  onProgress?: (event: LoadProgress) => void;
}

export interface TextLoadOptions extends LoadOptions {
  /**
   * The number of layers (blocks) to load, from the first on: 1 to the number that the model has, which is the default. With fewer,
   * only the embedding tables and these layers are fetched, and they are kept and listed as a part of their own (`'layers4'`). Vectors
   * of different numbers of layers cannot be compared.
   */
  layers?: number;
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
  /** The number of rows, and of values in a row (bytes for the binary precisions). */
  dims: [number, number];
  /** The number of tokens that went through the model for each text, after truncation, special tokens included. */
  tokens: number[];
  /** Whether a text was longer than `maxTokens` and was cut. */
  truncated: boolean[];
}

export interface HiddenStatesOptions {
  /**
   * The layer after which the states are taken, 0 to `embedder.layers`; default the last. 0 is the output of the embedding layer, after
   * its norm. The numbers are those of `output_hidden_states` in `transformers`. Layers that follow are not computed.
   */
  layer?: number;
  /**
   * `'mean'`, the default: the mean over all tokens of a text, special tokens included. `'cls'`: the state of the first token.
   * `'none'`: the state of every token.
   */
  pool?: 'mean' | 'cls' | 'none';
  /** Cancels between batches and layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** What a layer of the model computed for texts: as it is, neither normalized nor changed by a module after the encoder. */
export interface HiddenStates {
  /** All rows one after the other. The caller owns the memory. */
  data: Float32Array;
  /**
   * The number of rows, and of values in a row, which is the encoder's hidden size. There is a row for each text, and with `pool: 'none'`
   * for each token, text after text: `tokens` says where each text ends.
   */
  dims: [number, number];
  /** The number of tokens of each text, after truncation, special tokens included. */
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

/** What a model runs on, and why. */
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
   * Loads a BERT-type sentence encoder, or the first `layers` of it, from the store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: TextLoadOptions): Promise<TextEmbedder>;
  /**
   * Embeds texts; the same text gives the same vector whatever else is in the batch.
   * On the CPU it computes on the calling thread and yields to the event loop between layers.
   * Calls on one embedder run one after another; one that is aborted while it waits rejects at once.
   * An empty list gives `dims: [0, dimensions]`.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, `INVALID_WEIGHTS` where the tokenizer gives an id that
   * the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  embed(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>;
  /**
   * Computes the hidden states of texts after any layer; the same text gives the same states whatever else is in the batch. It runs as
   * `embed` does, takes the less time the lower the layer is, and with `pool: 'none'` gives 4 bytes for each value of each token.
   * An empty list gives no rows.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, also for a layer that was not loaded, `INVALID_WEIGHTS`
   * where the tokenizer gives an id that the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  hiddenStates(texts: string | readonly string[], options?: HiddenStatesOptions): Promise<HiddenStates>;
  /** The number of values of a vector. */
  readonly dimensions: number;
  /** The longest text in tokens; a longer one is cut and reported in `truncated`. */
  readonly maxTokens: number;
  /** The number of layers that were loaded: all that the model has, or `layers` of `load`. */
  readonly layers: number;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}

/** One of the two encoders of CLIP: the one for texts, or the one for images. */
export type Tower = 'text' | 'image';

export interface ImageTextLoadOptions extends LoadOptions {
  /**
   * The towers to load; default both. Each tower is fetched, kept and listed by itself: text search over saved vectors needs
   * `['text']` only. A stream in `files` can be read once, so give both towers bytes or a `Blob`.
   */
  towers?: readonly Tower[];
}

/** An image: a file's bytes in any form, its URL, or pixels. PNG, JPEG, WebP and GIF (the first frame) are decoded. */
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

interface DecodeOptions {
  /**
   * The decoder of image files. `'pilotlight'`, the default, gives the same pixels in every browser and in Node; `'browser'` may
   * know more formats (AVIF) and differs in the last bits.
   */
  decoder?: 'pilotlight' | 'browser';
}

export interface EmbedImagesOptions extends EmbedOptions, DecodeOptions {
  /** Called after each image. */
  onProgress?: (progress: Progress) => void;
}

/** Vectors of images. */
export type ImageEmbeddings = Pick<Embeddings, 'data' | 'dims'>;

export interface ClassifyOptions extends DecodeOptions {
  /**
   * A caption with `{}` where the label goes; default `'a photo of a {}.'`. With several templates, the vectors of each label are
   * averaged, which gives steadier scores.
   */
  template?: string | readonly string[];
  /** Cancels between layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** A label with its probability, 0 to 1. */
export interface LabelScore {
  label: string;
  score: number;
}

/** Encodes images and texts as vectors of one space: the cosine of an image and a text measures how well the text describes it. */
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
   * Embeds images; vectors have length one. One image is read and decoded at a time, on the calling thread, which yields to the
   * event loop between layers. Transparent pixels are blended with white; EXIF orientation is applied. Memory grows with the
   * largest image, three to sixteen bytes a pixel, and is freed only with the page.
   * @throws {PilotlightError} naming the image by its index: `INVALID_INPUT` for a broken image or another kind of value, also
   * without the image tower, `RESOURCE_LIMIT` over 50 million pixels or 256 MB, `FETCH_FAILED` for a URL, `BACKEND_UNAVAILABLE`
   * where the runtime has no canvas or decoder that the image needs, `ABORTED`, `DISPOSED`
   */
  embedImages(images: ImageSource | readonly ImageSource[], options?: EmbedImagesOptions): Promise<ImageEmbeddings>;
  /**
   * Scores how likely each label is for an image, the likeliest first; the scores sum to one. The vectors of the last call's labels
   * are kept. Both towers are needed.
   * @throws {PilotlightError} as `embedImages`, and `INVALID_INPUT` for invalid labels or templates
   */
  classify(image: ImageSource, labels: readonly string[], options?: ClassifyOptions): Promise<LabelScore[]>;
  /** The number of values of a vector. */
  readonly dimensions: number;
  /** The longest text in tokens; absent without the text tower. */
  readonly maxTokens?: number;
  /** The towers that were loaded. */
  readonly towers: readonly Tower[];
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}

/** How an index keeps each value: 4 bytes, 1 byte (by a scale for each vector) or 1 bit (its sign). */
export type IndexPrecision = 'float32' | 'int8' | 'binary';

/** The id of a vector: a text, or a safe integer. `1` and `'1'` are different ids. */
export type VectorId = string | number;

/** Vectors in the order of their ids: all values one after the other, an array for each vector, or what `embed` gave (`'float32'`). */
export type Vectors = Float32Array | readonly (readonly number[] | Float32Array)[] | Pick<Embeddings, 'data' | 'dims'>;

/** One vector. */
export type Query = Float32Array | readonly number[] | Pick<Embeddings, 'data' | 'dims'>;

export interface VectorIndexOptions {
  /** The number of values of a vector, 1 to 32768. */
  dimensions: number;
  /** Default `'int8'`: a quarter of the memory of `'float32'`, and scores that usually differ from its by less than 0.01. */
  precision?: IndexPrecision;
  /**
   * Keeps the sign of each value beside the rows, an eighth of `'int8'` more. Large sets are then searched by the signs first, and
   * only the nearest candidates are scored by the rows: several times as fast, and nearly always the same result. Default `false`.
   */
  prefilter?: boolean;
  /**
   * The model, its number of layers where not all were loaded, the dtype and the build that made the vectors. It is kept and shown;
   * vectors of different sources cannot be compared.
   */
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
   * Which vectors may be found. A function is called at most once for an id: for those that are among the best so far, or for all with
   * the prefilter and with `'binary'`. It may not change the index; what it throws, the search throws. Tags cost next to nothing.
   */
  filter?: ((id: VectorId) => boolean) | TagFilter;
  /** Whether every row is scored in spite of a prefilter. */
  exact?: boolean;
  /** How many vectors the prefilter lets through; default 15 times `k`, and 150 or more. Sets of up to twice as many are searched exactly. */
  candidates?: number;
}

export interface SearchHit {
  id: VectorId;
  /** The cosine, -1 to 1, of the vectors in the index's precision. */
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
   * Appends vectors: all, or none where one is invalid. Their lengths (norms) do not matter. The arrays stay the caller's.
   * @throws {PilotlightError} `INVALID_INPUT` naming the row: an id that is there already or comes twice, a vector of another length,
   * with a value that is not finite, or of zeros alone; `RESOURCE_LIMIT`, `DISPOSED`
   */
  add(ids: readonly VectorId[], vectors: Vectors, options?: AddOptions): void;
  /**
   * Replaces the vectors of ids that are in the index, in their places, and their tags where `tags` is given; all or none.
   * @throws {PilotlightError} as `add`, and `INVALID_INPUT` for an id that is not there
   */
  update(ids: readonly VectorId[], vectors: Vectors, options?: AddOptions): void;
  /** Removes vectors and returns how many; ids that are not there are no error. @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED` */
  remove(ids: readonly VectorId[]): number;
  /**
   * Returns the `k` vectors with the largest cosines, the largest first, equal ones in the order in which they were added; all where
   * there are fewer than `k`.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `DISPOSED`
   */
  search(query: Query, k: number, options?: SearchOptions): SearchHit[];
  /** Whether a vector of this id is in the index. @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED` */
  has(id: VectorId): boolean;
  /** All ids in the order in which they were added. @throws {PilotlightError} `DISPOSED` */
  ids(): VectorId[];
  /** The number of vectors. @throws {PilotlightError} `DISPOSED` */
  readonly size: number;
  readonly dimensions: number;
  readonly precision: IndexPrecision;
  readonly prefilter: boolean;
  /** The `source` option, where it was given. */
  readonly source?: string;
  /** The approximate number of bytes of WebAssembly memory that it takes. @throws {PilotlightError} `DISPOSED` */
  readonly memoryBytes: number;
  /** The index as bytes, with a digest; the caller owns them. Equal indexes give equal bytes. @throws {PilotlightError} `RESOURCE_LIMIT`, `DISPOSED` */
  toBytes(): Uint8Array<ArrayBuffer>;
  /**
   * Makes an index from the bytes that `toBytes` gave; they stay the caller's.
   * @throws {PilotlightError} `INVALID_INPUT` for bytes of another format, `INTEGRITY` where they were altered, `RESOURCE_LIMIT`
   */
  static fromBytes(bytes: Uint8Array): Promise<VectorIndex>;
  /**
   * Saves the index, as it is at the call, under a name; it may be changed and disposed of meanwhile. Only what changed since the last
   * save is written, in parts of about 2 MiB, and until all of them are written `load` gives the former version.
   * `models` neither lists nor deletes it.
   * @throws {PilotlightError} `QUOTA_EXCEEDED`, `INVALID_INPUT`, `BACKEND_UNAVAILABLE`, `DISPOSED`
   */
  save(name: string, options?: StoreOptions): Promise<void>;
  /**
   * Loads the index that was saved under a name; `undefined` where there is none.
   * @throws {PilotlightError} `INVALID_INPUT`, `INTEGRITY` where it was altered, `RESOURCE_LIMIT`, `BACKEND_UNAVAILABLE`
   */
  static load(name: string, options?: StoreOptions): Promise<VectorIndex | undefined>;
  /**
   * Deletes the index that was saved under a name; false where there is none. An index that is loaded keeps working.
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
  /** Default `'cpu'`: it draws a digit in less time than the WebGPU code takes to arrive. */
  device?: Device;
  /** Own weights, as `make train-digits` writes them, instead of those in the package. */
  weights?: FileSource;
  /** Cancels the load; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  onProgress?: (event: LoadProgress) => void;
}

/** How digits are drawn. */
export interface DrawOptions {
  /** 0 to 2^53 - 1: the same seed gives the same digits on the same backend and build. Default a fresh one, told in the result. */
  seed?: number;
  /** The number of steps, 1 to 100, each of which runs the network once; default 7. */
  steps?: number;
  /**
   * The guidance scale, 0 to 20: 1 draws digits as people write them, more makes them clearer and more alike. Default 1.75.
   * It acts while the digit takes shape, so not at all with one or two steps.
   */
  guidance?: number;
  /** Cancels within one step; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  /** Called with the digits as they are after each step, from noise to digit; the last ones are the result. */
  onStep?: (step: DrawStep) => void;
}

export interface DrawStep {
  /** 1 to `steps`. */
  step: number;
  steps: number;
  digits: Digits;
}

/** What to draw: exactly one of `digit`, `digits` and `text`; 10,000 digits at most. */
export interface GenerateOptions extends DrawOptions {
  /** 0 to 9. */
  digit?: number;
  digits?: readonly number[];
  /** The digits of a number, such as `'2026'`. */
  text?: string;
  /** How often all of it is drawn, each time in another handwriting; default 1. Digit `i` of a seed does not depend on the count. */
  count?: number;
}

/** Where a morph begins or ends. */
export interface MorphEnd {
  /** 0 to 9. */
  digit: number;
  /** Default the seed of the other end, so that the handwriting stays the same. */
  seed?: number;
}

export interface MorphOptions extends DrawOptions {
  from: MorphEnd;
  to: MorphEnd;
  /** The number of digits, both ends included, 2 to 10,000; default 9. */
  count?: number;
}

/** One grey image, of drawn digits side by side. */
export interface Picture {
  /** The grey values, row by row: 0 is paper, 255 is ink. */
  readonly data: Uint8Array;
  /** The number of rows and of columns. */
  readonly dims: [number, number];
  /** Returns white ink on black. @throws {PilotlightError} `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(): ImageData;
  /** Returns a PNG file, in any runtime. It never throws. */
  toBlob(): Promise<Blob>;
}

/** Drawn digits. */
export interface Digits {
  /** Digit after digit, row by row: 0 is paper, 255 is ink, as in MNIST. The caller owns the memory. */
  readonly data: Uint8Array;
  /** The number of digits, rows and columns: `[n, 28, 28]`. */
  readonly dims: [number, number, number];
  /** The class that each was drawn for, 0 to 9; in a morph that of the nearer end. */
  readonly digits: number[];
  /** The seed, with which the same digits can be drawn again. */
  readonly seed: number;
  /** Returns one digit, white on black; default the first. @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(index?: number): ImageData;
  /** Returns one digit as a PNG file; default the first. @throws {PilotlightError} `INVALID_INPUT` */
  toBlob(index?: number): Promise<Blob>;
  /** Returns all digits side by side; by default a list or text in one row, and a single digit's repetitions in a square. @throws {PilotlightError} `INVALID_INPUT` */
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
  /** Draws evenly spaced digits on the way from one digit or seed to another. @throws {PilotlightError} as `generate` */
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
  /** With `'QUOTA_EXCEEDED'`: the bytes that the model takes in the store, or that saving an index had to write, and the bytes that were left, where known. */
  readonly needed?: number;
  readonly available?: number;
  /** With `'FETCH_FAILED'`: the HTTP status of the answer; 404 also where the repository, or `files`, has no such file. */
  readonly status?: number;
  /** With `'FETCH_FAILED'`: why, where it is one of these reasons; absent for one, when a connection breaks off. */
  readonly reason?: FetchReason;
  /** Where the failure is about one file: its name in the repository. */
  readonly file?: string;
  /** Where the failure is about one tensor: its name in the file. */
  readonly tensor?: string;
}

/** What loading a model would cost. */
export interface LoadPlan {
  model: string;
  /** The class whose `load` loads it. */
  class: 'TextEmbedder' | 'ImageTextEmbedder';
  /** The commit of the revision; absent where the host has no commits. */
  commit?: string;
  /** The device and the dtype that would be taken, and why. */
  device: 'cpu' | 'webgpu';
  dtype: Dtype;
  reason: string;
  /** The files to read, with the number of bytes that are needed of each, where the host tells it. */
  files: { path: string; bytes?: number }[];
  /** The number of tensors to fetch; 0 where the store has the complete model. */
  tensors: number;
  /** Bytes that would come from the network, and bytes that an earlier load fetched. */
  fetchBytes: number;
  cachedBytes: number;
  /** Bytes that the model takes in the store, and bytes that are left in the store, where that is known. */
  storeBytes: number;
  availableBytes?: number;
  /** The approximate number of bytes of WebAssembly memory that it takes. */
  memoryBytes: number;
  /** Whether the store has the complete model, so that loading makes no request. */
  whole: boolean;
  /** Whether memory and store suffice; if not, `problem` says in a sentence which does not. */
  fits: boolean;
  problem?: string;
}

/** A model in a store. */
export interface StoredModel {
  /** The key by which `delete` finds it. */
  key: string;
  host: string;
  model: string;
  revision: string;
  commit: string;
  dtype: Dtype;
  /** The tower, for CLIP, whose towers are kept separately; or the first layers, for an encoder that was loaded with `layers`. */
  part?: Tower | `layers${number}`;
  bytes: number;
  /** When it was last loaded, in milliseconds since 1970, where that is known. */
  lastUsed?: number;
  /** False for a partial download, which the next load resumes. */
  whole: boolean;
  /** How it was verified; absent for a partial download. */
  verified?: Verified;
  /** A digest of all its files. Vectors of models with equal digests can be compared, also across commits. Absent for a partial download. */
  digest?: string;
}

/** The store to use; default `'indexeddb'` where there is one, else `'memory'`. */
export interface StoreOptions {
  store?: 'indexeddb' | 'memory' | Store;
}

/** An object that embeds texts: a `TextEmbedder`, or any other with these members. */
export interface Embedder {
  embed(
    texts: string | readonly string[],
    options?: { signal?: AbortSignal },
  ): Promise<Pick<Embeddings, 'data' | 'dims'>>;
  readonly dimensions: number;
  readonly backend?: Pick<BackendReport, 'dtype' | 'simd'>;
}

/** The model, weights and build that made the vectors of a classifier. */
export interface EmbedderIdentity {
  model?: string;
  /** The number of layers, where only the first ones of the model were loaded. */
  layers?: number;
  dtype?: Dtype;
  simd?: 'simd128' | 'relaxed-simd';
  dimensions?: number;
}

/** Texts with their labels; or vectors that were made already, `dimensions` values for each label. */
export type ClassifierExamples =
  | readonly { text: string; label: string }[]
  | { texts: readonly string[]; labels: readonly string[] }
  | { vectors: Float32Array; labels: readonly string[]; texts?: readonly string[] };

/** `'embed'` counts texts, `'fit'` percent. */
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
  /** Default `'logistic'`. `'prototype'` and `'knn'` need no fit, and suit one or two examples for each label. */
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
   * The share of good texts that may be refused: `classify` answers `null` where fewer of the examples that were held out had as low
   * a score. Default 0: never.
   */
  unknown?: number;
}

export interface ClassifyOptions {
  /** The number of labels in `scores`; default 3. */
  topK?: number;
  /** Instead of the share that `fit` was given. */
  unknown?: number;
  signal?: AbortSignal;
}

/** The answer for one text. */
export interface Classification {
  /** `null` where the text is not like the examples. */
  label: string | null;
  /** The calibrated probability of the most likely label. */
  probability: number;
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
  /** For each `rate` of refused good texts: the share of texts that is answered, and the accuracy among them. */
  coverage: { rate: number; threshold: number; coverage: number; accuracy: number }[];
}

/** A classifier as JSON; `pilotlight_export` for scikit-learn writes `format`, `version`, `labels`, `embedder` and `head`. */
export interface ClassifierJson {
  format: 'pilotlight-classifier';
  version: 1;
  labels: string[];
  embedder?: EmbedderIdentity;
  unknown?: number;
  options?: HeadOptions;
  texts?: string[];
  labelTexts?: number[];
  head: object;
  examples?: { dimensions: number; vectors: object; classes: number[] };
  heldOut?: [number, boolean][];
}

/** Learns labels of texts from examples, and says how sure it is. */
export declare class TextClassifier {
  private constructor();
  /**
   * Embeds the examples and fits a head to their vectors.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, and what `embedder.embed` throws
   */
  static fit(embedder: Embedder, examples: ClassifierExamples, options?: FitOptions): Promise<TextClassifier>;
  /**
   * Reads what `toJSON`, or `pilotlight_export` in Python, wrote. Refuses an embedder of another model, of another number of its layers,
   * or of other dimensions.
   * @throws {PilotlightError} `INVALID_INPUT`
   */
  static fromJSON(embedder: Embedder, json: string | object): Promise<TextClassifier>;
  /** The labels, in the order of their code units. */
  readonly labels: readonly string[];
  /** The number of examples that are kept, names of labels included. */
  readonly size: number;
  /** Sentences on what is different from when the classifier was fitted. */
  readonly notes: readonly string[];
  /**
   * Classifies texts.
   * @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED`, and what `embedder.embed` throws
   */
  classify(texts: string | readonly string[], options?: ClassifyOptions): Promise<Classification[]>;
  /**
   * Measures the classifier on other examples, or with `{ folds: 5 }` by fitting it five times to four fifths of its own.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`, and what `embedder.embed` throws
   */
  evaluate(examples: ClassifierExamples | { folds: 5 }, options?: CallOptions): Promise<ClassifierEvaluation>;
  /**
   * Adds examples, of new labels too, and fits again; the vectors of the former ones are kept. If it fails, the classifier stays as it was.
   * @throws {PilotlightError} `INVALID_INPUT`, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`, and what `embedder.embed` throws
   */
  add(examples: ClassifierExamples, options?: CallOptions): Promise<void>;
  /**
   * The classifier with its examples, for `JSON.stringify`.
   * @throws {PilotlightError} `DISPOSED`
   */
  toJSON(): ClassifierJson;
  /** Frees its memory; the embedder stays. */
  dispose(): void;
}

/** Manages stored models, and plans loads. */
export declare const models: {
  /**
   * Tells what loading a sentence encoder, its first `layers`, or CLIP would cost. It asks the host for sizes and reads small files and the header of the
   * weights, but loads nothing.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `ABORTED`
   */
  plan(model: string, options?: TextLoadOptions & ImageTextLoadOptions): Promise<LoadPlan>;
  /**
   * Lists every model of the store, the largest first, partial downloads included.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  list(options?: StoreOptions): Promise<StoredModel[]>;
  /**
   * Deletes the model with a key that `list` gave; false where there is none. A model that is loaded keeps working.
   * @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE`
   */
  delete(key: string, options?: StoreOptions): Promise<boolean>;
  /**
   * Returns the bytes of all models, and the whole origin's usage and quota where the runtime tells them.
   * @throws {PilotlightError} as `list`
   */
  usage(
    options?: StoreOptions,
  ): Promise<{ modelBytes: number; originBytes?: number; quotaBytes?: number; persisted: boolean }>;
  /** Asks the browser, once, not to delete this origin's storage when space gets scarce. `reason` is a sentence for people. It never throws. */
  persist(): Promise<{ persisted: boolean; reason: string }>;
};

/** The source of the WebAssembly code, for bundlers and hosts that cannot find it by themselves. */
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
