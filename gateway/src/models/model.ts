/** The interface of a model to the routes, wherever it runs: in this isolate, in another Worker, or on another server. */

/** The task of a model, which is also what a route asks of it. */
export type Task = 'embed' | 'embed-image' | 'classify' | 'route' | 'rerank' | 'detect' | 'digits';

/** A model as `/v1/models` lists it. */
export interface ModelInfo {
  id: string;
  task: Task;
  run: 'local' | 'upstream';
  /** Identifies the weights and the options that change answers; part of the cache's key. */
  digest: string;
  dimensions?: number;
  maxTokens?: number;
  /** The most items and tokens of one request. */
  maxItems: number;
  maxTokensRequest: number;
  /** For `/analyze`: names of the model that a detector reads with, the layer of it, and the kind of classifier on its states. */
  bases?: string[];
  layer?: number;
  classifier?: string;
}

/** The tokens that one image or one digit counts as: it takes about as long as so many tokens of MiniLM. */
export const ITEM_TOKENS = 256;

export interface CallContext {
  signal: AbortSignal;
  requestId: string;
  /** Whether a line of a batch or the text of an index asks, for whose answer no client waits. */
  job?: boolean;
  /** The `traceparent` header of the request, for upstreams. */
  traceparent?: string;
}

/** Vectors, row after row. */
export interface Vectors {
  data: Float32Array;
  dims: [number, number];
  tokens: number[];
  truncated: boolean[];
}

export interface Scored<T> {
  results: T[];
  tokens: number;
}

export interface Classification {
  /** Labels with their probabilities, the likeliest first. */
  scores: { label: string; score: number }[];
  /** The label, or null where the text is like none of the examples. */
  label: string | null;
}

export interface DetectionAnswer {
  verdict: 'machine' | 'no sign' | 'uncertain';
  probability: number | null;
  reasons: string[];
  sentences: { start: number; end: number; contribution: number }[];
}

export interface DigitsAnswer {
  /** Pixels of 28x28 images, one byte each, image after image. */
  data: Uint8Array;
  dims: [number, number, number];
  seed: number;
  digits: number[];
}

export interface DigitsRequest {
  digits: number[];
  seed: number;
  steps?: number;
  guidance?: number;
}

/** A model that is ready. It has the member of its task; errors are `GatewayError`s. */
export interface Model {
  /** After a call it tells where the answer came from: `run` is `upstream` where the fallback gave it. */
  readonly info: ModelInfo;
  /** The upstream that answers, or answered the last call. */
  readonly upstream?: string | undefined;
  embed?(texts: string[], options: { dimensions?: number; prompt?: string }, context: CallContext): Promise<Vectors>;
  embedImages?(images: Uint8Array[], options: { dimensions?: number }, context: CallContext): Promise<Vectors>;
  classify?(texts: string[], context: CallContext): Promise<Scored<Classification>>;
  route?(texts: string[], context: CallContext): Promise<Scored<{ route: string | null; probability: number }>>;
  rerank?(query: string, documents: string[], context: CallContext): Promise<Scored<number>>;
  detect?(texts: string[], context: CallContext): Promise<Scored<DetectionAnswer>>;
  digits?(request: DigitsRequest, context: CallContext): Promise<DigitsAnswer>;
}

/** The models of this deployment. */
export interface Models {
  /** All models of `models.jsonc` and all heads, without loading any. */
  list(): Promise<ModelInfo[]>;
  /**
   * A model by its name, loaded. One that is used by several requests at once is loaded once; a load that failed is forgotten, so that the
   * next request tries again.
   * @throws {GatewayError} `model_not_found` with the names there are, `model_not_loaded`, `upstream_unavailable`
   */
  get(name: string, task: Task, context: CallContext): Promise<Model>;
  /** The state of each model for `/readyz`: whether it is loaded, and the state of its upstream's breaker. */
  states(): { id: string; loaded: boolean; breaker?: 'closed' | 'open' | 'half-open' }[];
  /** The tokens of requests that wait for the one thread of this isolate. */
  readonly queuedTokens: number;
}
