/// <reference path="./platform.d.ts" />

import type { DecoderLoadOptions } from './decoder.js';
import type { ImageTextLoadOptions, Tower } from './image-text-embedder.js';

export * from './decoder.js';
export * from './digit-generator.js';
export * from './image-text-embedder.js';
export * from './reranker.js';
export * from './semantic-router.js';
export * from './sequence-classifier.js';
export * from './text-classifier.js';
export * from './text-detector.js';
export * from './vector-index.js';

/**
 * The device that computes. `'auto'` means the CPU unless a real GPU is faster, which a load finds out before it reads the weights: with zeros
 * in their place, it times two or more layers of the model for 128 tokens or an image, as many as fit into a tenth of a second.
 */
export type Device = 'auto' | 'cpu' | 'webgpu';

/**
 * The format of the weights in memory and in the store. `'f16'` has half of the bytes of `'f32'` and nearly its values; the CPU holds such weights
 * in f32. `'q8'` is int8 per output channel, with 8-bit (baseline) or 7-bit (relaxed SIMD)
 * activations. `'q4'` is int4 in groups of 32: it takes the least memory and is the least accurate.
 */
export type Dtype = 'f32' | 'f16' | 'q8' | 'q4';

/** The format of the values of an embedding; the names are those of sentence-transformers. */
export type Precision = 'float32' | 'int8' | 'uint8' | 'binary' | 'ubinary';

/** A file's bytes, from any source. A stream or a `Response` can be read once. */
export type FileSource = Uint8Array | ArrayBuffer | Blob | Response | ReadableStream<Uint8Array>;

/** A durable key-value store that the host program owns. `put` is durable and atomic per key. */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
  /** Every key that starts with `prefix`, in any order. */
  keys(prefix: string): Promise<string[]>;
}

/** The progress of a call, in bytes if a model is loaded and in images if images are embedded. */
export interface Progress {
  /** The amount that is done. */
  loaded: number;
  /** The whole amount, as far as it is known; 0 while unknown. */
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
  /** The level at which bytes from the network were verified; present with `'ready'`. */
  verified?: Verified;
}

/**
 * The check that a model's bytes have passed. `'sha256'`: by digests of whole files, as the host lists them. `'lock'`: by digests of the
 * tensors, from the repository's lock file. `'length'`: by lengths and ETags only, because the host gives no digests.
 */
export type Verified = 'sha256' | 'lock' | 'length';

export interface LoadOptions {
  /** The device that computes; default `'auto'`. */
  device?: Device;
  /**
   * The format of the weights; default `'q8'`. The CPU computes with activations of 7 or 8 bits where weights are quantized; WebGPU turns weights
   * of all formats into f32 as it reads them, so that `'f16'` needs no feature of the adapter.
   */
  dtype?: Dtype;
  /** Branch, tag or commit; default `'main'`. */
  revision?: string;
  /**
   * Files are at `{host}/{model}/resolve/{revision}/{file}`; default `'https://huggingface.co'`. A query of this address, such as a signature for a
   * whole container, is sent with each request, and is in no message and in no key of the store.
   */
  host?: string;
  /** The access token of a repository, which is sent as an Authorization header to `host` alone, never in a URL. */
  token?: string;
  /**
   * The files of the model by name, to load without a host: `{ 'config.json': …, 'tokenizer.json': …, 'model.safetensors': … }`. A model on WebGPU
   * refers to them until it is disposed of, to read them again if the GPU fails, which a stream cannot be.
   */
  files?: Record<string, FileSource>;
  /**
   * The file that the weights are read from. `'auto'`, the default: a packed file of `pilotlight pull` where the host lists one, else
   * safetensors, else `pytorch_model.bin` or its shards; for other formats than `'f32'` an ONNX model in float16 that is much smaller than these. If
   * the host lists none of them, a GGUF file, else an ONNX model. If an ONNX file turns out not to be supported, the next file is tried.
   * `'safetensors'`: the checkpoint, also where there is a packed file. `'pytorch'`: `pytorch_model.bin` or its shards, also where there
   * are safetensors. `'gguf'`: the listed GGUF file that suits `dtype` best. `'onnx'`: `model_fp16.onnx` or
   * `model_O4.onnx`, in the folder `onnx` or in none, else `model.onnx`, and the other way round for `'f32'`; the weights are read, the graph
   * is not run; of CLIP and SigLIP also `text_model.onnx` and `vision_model.onnx` with these endings. Any other value is the name of a file,
   * such as `'model.Q4_1.gguf'`. A GGUF file contains its config and tokenizer. A `.bin` or `.onnx` cannot be a stream in `files`, because it is
   * read from several places.
   * Models from different `weights` are stored and listed separately.
   */
  weights?: 'auto' | 'safetensors' | 'pytorch' | 'gguf' | 'onnx' | (string & {});
  /**
   * Whether `'auto'` and `'onnx'` may also take an ONNX file whose weights were rounded to 8 bits, such as `onnx/model_quint8_avx2.onnx`, where it
   * is the smallest; default `false`. For all-MiniLM-L6-v2 that halves the download of the first visit, and lowers the accuracy, which
   * docs/models.md has. Such models are stored and listed separately.
   */
  lossy?: boolean;
  /** The store for the packed model; default `'indexeddb'` if the platform has it, else `'memory'`. `false` stores nothing. */
  store?: 'indexeddb' | 'memory' | false | Store;
  /** Whether other models, the least recently used first, may be deleted where the store is full; default `false`. */
  evict?: boolean;
  /**
   * Milliseconds without a byte after which a connection is given up and tried again; default 20000.
   * A download that was under way fails after three times as long without a byte; the next load resumes it.
   */
  timeout?: number;
  /**
   * Whether the model computes in a worker of its own: in a page a dedicated worker, in Node, Deno and Bun a thread. `'auto'`, the default: in a
   * page, where a worker can be started, and elsewhere where `workers` asks for several; else calls compute on the thread that makes them.
   * `backend` tells where the model runs, and why where no worker could be started.
   */
  worker?: 'auto' | boolean;
  /**
   * The most workers that divide a long list of texts or images among them; 1 to 64. `'auto'`, the default where the model is in a worker: as many as
   * the device, or the process, has processors and memory for, and one where `store` is false, because further workers read the weights from the
   * store. A short list waits for none, and those that are not used are ended. Outside of pages `'auto'` and numbers above 1 also put the model in
   * a thread.
   */
  workers?: 'auto' | number;
  /**
   * The most threads that compute one call, each in a worker of its own, with one copy of the weights; 1 to 64. They need a page that is cross-origin
   * isolated, where the model is in a worker and WebAssembly has relaxed SIMD. `'auto'`, the default: there as many as the device has processors, but 4
   * at most; elsewhere one. Results are the same to the bit. A list that `workers` divide is computed by fewer threads in each of them, so that
   * workers times threads are never more than processors. `backend.threads` tells how many there are, and `backend.reason` why there are not more.
   */
  threads?: 'auto' | number;
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
  /** The number of leading values to keep of each vector, which is then normalized again (Matryoshka); 1 to the model's dimensions. */
  dimensions?: number;
  /** The format of the values; default `'float32'`. `'binary'` and `'ubinary'` pack eight signs into a byte. */
  precision?: Precision;
  /** Cancels between batches and layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

export interface TextEmbedOptions extends EmbedOptions {
  /**
   * The prompt that is put before each text, for models that were trained with prompts. It is the name of a prompt in the repository's
   * `config_sentence_transformers.json`, such as `'query'`, or else the prompt's own text, such as `'query: '`. Without this option the
   * file's default prompt is used, which most models do not have; `''` uses no prompt.
   */
  prompt?: string;
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
   * The layer after which the states are taken, 0 to `layers` of the model; default the last. 0 is the output of the embedding layer, after
   * its norm if it has one. The numbers are those of `output_hidden_states` in `transformers`. Layers that follow are not computed.
   */
  layer?: number;
  /**
   * `'mean'`, the default: the mean over all tokens of a text, special tokens included. `'cls'`: the state of the first token, `'last'`:
   * of the last one. `'none'`: the state of every token.
   */
  pool?: 'mean' | 'cls' | 'last' | 'none';
  /** Cancels between batches and layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** The output of one layer of the model for texts, neither normalized nor changed by a module after the encoder. */
export interface HiddenStates {
  /** All rows one after the other. The caller owns the memory. */
  data: Float32Array;
  /**
   * The number of rows, and of values in a row, which is the encoder's hidden size. There is a row for each text, and with `pool: 'none'`
   * for each token, text after text: `tokens` has the number of tokens of each text.
   */
  dims: [number, number];
  /** The number of tokens of each text, after truncation, special tokens included. */
  tokens: number[];
  /** Whether a text was longer than `maxTokens` and was cut. */
  truncated: boolean[];
}

/** The adapter that WebGPU runs on, as far as the browser exposes it. */
export interface AdapterReport {
  vendor: string;
  architecture: string;
  description: string;
  /** True for a software adapter; `'auto'` never takes one. */
  software: boolean;
}

/** The device and the format that a model runs with, and the reason. A model's report is another object after a restart. */
export interface BackendReport {
  device: 'cpu' | 'webgpu';
  dtype: Dtype;
  /** SIMD level of the CPU code. */
  simd: 'simd128' | 'relaxed-simd';
  /**
   * The way in which the CPU adds up products of int8: by the dot product of the engine, or in 16 bits where its dot product is several instructions. The
   * results are the same.
   */
  products?: 'dot' | 'pairs';
  /** One sentence for people: why this device was taken, or why the wanted one was not. */
  reason: string;
  /** Whether it computes in a worker, so that the calling thread stays free. */
  worker: boolean;
  /** The number of threads that compute a call. */
  threads: number;
  /**
   * The number of times that the model was loaded again because WebGPU had failed: the driver was reset, the browser took the GPU away, its memory
   * ran out, it refused an operation, the WebGPU core trapped, its worker ended, or it did not pass its self-test. The call under way is then computed
   * once more on a newly opened GPU, or else on the CPU; `reason` says which and why.
   */
  restarts: number;
  adapter?: AdapterReport;
}

/** Encodes texts as vectors, whose semantic similarity is measured by the cosine, or by the measure that `similarity` names. */
export declare class TextEmbedder {
  private constructor();
  /**
   * Loads a sentence encoder of any of the families in docs/models.md, or the first `layers` of it, from the store if it is stored, else from the
   * host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: TextLoadOptions): Promise<TextEmbedder>;
  /**
   * Embeds texts; the same text gives the same vector whatever else is in the batch.
   * On the CPU it computes on the calling thread, unless the model is in a worker, and yields to the event loop between layers.
   * Calls on one embedder run one after another; one that is aborted while it waits rejects at once.
   * An empty list gives `dims: [0, dimensions]`.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, `INVALID_WEIGHTS` where the tokenizer gives an id that
   * the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  embed(texts: string | readonly string[], options?: TextEmbedOptions): Promise<Embeddings>;
  /**
   * Computes the hidden states of texts after any layer; the same text gives the same states whatever else is in the batch. It runs as
   * `embed` does, takes less time for a lower layer, and with `pool: 'none'` returns 4 bytes for each value of each token.
   * An empty list gives no rows.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, also for a layer that was not loaded, `INVALID_WEIGHTS`
   * where the tokenizer gives an id that the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  hiddenStates(texts: string | readonly string[], options?: HiddenStatesOptions): Promise<HiddenStates>;
  /** The number of values of a vector. */
  readonly dimensions: number;
  /** The longest text in tokens; a longer one is cut and reported in `truncated`. `Infinity` where no text is too long. */
  readonly maxTokens: number;
  /** The number of layers that were loaded: all that the model has, or `layers` of `load`; 0 for a static embedding. */
  readonly layers: number;
  /** The repository's prompts by their names, for the option `prompt` of `embed`; empty where it names none. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The prompt of texts that are embedded without the option; `''` for most models. */
  readonly defaultPrompt: string;
  /**
   * The measure by which vectors are to be compared, as the repository names it; `'cosine'` if it names none. A `VectorIndex` for `'dot'`
   * needs `metric: 'dot'`. Between vectors of length 1, `'cosine'` gives the order of `'euclidean'` too.
   */
  readonly similarity: 'cosine' | 'dot' | 'euclidean' | 'manhattan';
  /**
   * Sentences on prompts that the model was trained with, if no file of its repository names them. Prompts are never
   * applied unasked.
   */
  readonly hints: readonly string[];
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

/** The reason why a file could not be fetched. */
export type FetchReason =
  /** No answer came: there is no network, no such host, or the host does not allow this page to ask (CORS). */
  | 'unreachable'
  /** The answer's HTTP status is no success, or the repository has no such file; see `status`. */
  | 'status'
  /** The answer is a web page instead of the file: a sign-in page, or a site that is no model host. */
  | 'html'
  /** No byte came for as long as `timeout`. */
  | 'stalled'
  /** The hub has no repository of this name, or hides a private one from those without its token. */
  | 'no-repository'
  /** The repository asks its users to accept terms, and the request had no token of one who did. */
  | 'gated'
  /** The repository has no such branch, tag or commit. */
  | 'no-revision';

/** The one error class; `message` names the thing, what was expected and what came. */
export declare class PilotlightError extends Error {
  constructor(code: ErrorCode, message: string, cause?: unknown);
  readonly name: 'PilotlightError';
  readonly code: ErrorCode;
  readonly cause?: unknown;
  /**
   * With `'QUOTA_EXCEEDED'`: the bytes that the model takes in the store, or that saving an index had to write; and in `available` the bytes that
   * were left, if known.
   */
  readonly needed?: number;
  readonly available?: number;
  /** The HTTP status of the answer, with `'FETCH_FAILED'`; 404 also if the repository, or `files`, has no such file. */
  readonly status?: number;
  /** The reason, with `'FETCH_FAILED'`, if it is one of these; absent for others, such as a broken connection. */
  readonly reason?: FetchReason;
  /** The name in the repository of the file that the failure is about, if it is about one. */
  readonly file?: string;
  /** The name in the file of the tensor that the failure is about, if it is about one. */
  readonly tensor?: string;
}

/** The download, storage and memory that loading a model would take. */
export interface LoadPlan {
  model: string;
  /** The class whose `load` loads it. */
  class: 'TextEmbedder' | 'ImageTextEmbedder' | 'Decoder' | 'SequenceClassifier';
  /** The commit of the revision; absent where the host has no commits. */
  commit?: string;
  /** The device and the dtype that would be taken, and why. A GPU is neither tested nor timed for a plan, so the model may end on the CPU. */
  device: 'cpu' | 'webgpu';
  dtype: Dtype;
  reason: string;
  /** The files to read, with the number of bytes that are needed of each, if the host lists it. */
  files: { path: string; bytes?: number }[];
  /** The number of tensors to fetch; 0 where the store has the complete model. */
  tensors: number;
  /** Bytes that would come from the network, and bytes that an earlier load fetched. */
  fetchBytes: number;
  cachedBytes: number;
  /** The bytes that the model will take in the store. The packed form of its tokenizer is not counted; it is smaller than `tokenizer.json`. */
  storeBytes: number;
  /** The bytes that are left in the store, where that is known. */
  availableBytes?: number;
  /** The approximate number of bytes of WebAssembly memory that it takes. */
  memoryBytes: number;
  /** With WebGPU, the approximate number of bytes of the GPU's memory that it takes after a call of one text or image. */
  gpuBytes?: number;
  /**
   * Whether the weights are read from a GGUF or ONNX file with numbers of 8 bits or fewer; false for a packed file, whatever it was made
   * from, and where the store has the complete model.
   */
  lossy: boolean;
  /** Whether the store has the complete model, so that loading makes no request. */
  whole: boolean;
  /** Whether memory and store suffice; if not, `problem` is a sentence on the one that does not. */
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
  /**
   * The tower, for CLIP and SigLIP, whose towers are kept separately; the first layers, for an encoder that was loaded with `layers`; or
   * `'classifier'`, for a `SequenceClassifier`.
   */
  part?: Tower | `layers${number}` | 'classifier';
  /** The option `weights` with which it was loaded, unless that was `'auto'`; with the option `lossy` it is `'lossy'` for `'auto'` and
   * `'onnx-lossy'` for `'onnx'`. */
  weights?: string;
  /** Bytes of its files in the store, and of the packed form of its tokenizer. */
  bytes: number;
  /** The time of its last load, in milliseconds since 1970, if known. */
  lastUsed?: number;
  /** False for a partial download, which the next load resumes. */
  whole: boolean;
  /** The level at which it was verified; absent for a partial download. */
  verified?: Verified;
  /** A digest of all its files. Vectors of models with equal digests can be compared, also across commits. Absent for a partial download. */
  digest?: string;
}

/** The store to use; default `'indexeddb'` where there is one, else `'memory'`. */
export interface StoreOptions {
  store?: 'indexeddb' | 'memory' | Store;
}

/** Manages stored models, and plans loads. */
export declare const models: {
  /**
   * Computes the cost of loading a sentence encoder or a decoder, its first `layers`, a classifier of whole texts, CLIP or SigLIP. It asks the host
   * for sizes and reads small files and the header of the weights, but loads nothing.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `ABORTED`
   */
  plan(model: string, options?: DecoderLoadOptions & ImageTextLoadOptions): Promise<LoadPlan>;
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
   * Returns the bytes of all models, and the whole origin's usage and quota if the runtime has them.
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
  wasm?: WebAssembly.Module | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Response | URL | string;
  /**
   * The image decoders, `pilotlight/images.wasm`. They are fetched and compiled when the first image file is decoded. If that
   * fails, the call rejects, and `init` may be called again with another source.
   */
  images?: WebAssembly.Module | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Response | URL | string;
}

/**
 * Loads the CPU code before the first `load`; calling it is optional and repeatable.
 * @throws {PilotlightError} `FETCH_FAILED` if the code cannot be fetched, `BACKEND_UNAVAILABLE` if it cannot run
 */
export declare function init(options?: InitOptions): Promise<void>;

/**
 * Collects versions, runtime, SIMD, WebGPU adapter, the restarts of models after failures of the GPU, storage and memory in one JSON-able object for a
 * bug report. It loads no model, makes no request to a model host, and never throws: a part that fails is replaced by its error.
 */
export declare function diagnose(): Promise<Record<string, unknown>>;
