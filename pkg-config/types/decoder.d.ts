import type { BackendReport, HiddenStates, HiddenStatesOptions, TextLoadOptions } from './index.js';

/** Options of loading a decoder. With `layers`, only the first blocks are fetched, and likelihoods cannot be computed. */
export interface DecoderLoadOptions extends TextLoadOptions {
  /**
   * The place of the embedding table of a loaded model; default `'memory'`. With `'store'` it stays in the store, and a call reads the rows of its
   * own tokens, of which 8 MB are cached for later calls. The hidden states are the same to the bit, and the stored files are the same. This
   * needs a store, so it cannot be combined with `store: false` or `files`; a model whose table is also the vocabulary head then has no
   * `likelihoods`.
   */
  embeddings?: 'memory' | 'store';
}

export interface LikelihoodOptions {
  /** The number of tokens after which a text is cut; default one less than `decoder.maxTokens`, which is also the most. */
  maxTokens?: number;
  /** Cancels between layers and blocks of the vocabulary; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/**
 * The likelihoods of a text's tokens, each given the tokens before it. Each list has an entry for each token. The first token is predicted from the
 * token that separates documents (`<|endoftext|>`, or where the model has none, the one that begins a text).
 */
export interface Likelihoods {
  /** The index in the text of each token's first character, in UTF-16 code units, as strings have them. */
  starts: Uint32Array;
  /** The natural logarithm of the probability of the token. */
  logProbabilities: Float32Array;
  /** The entropy of the prediction, in nats. */
  entropies: Float32Array;
  /** The variance of the logarithm of the probability under the prediction. */
  variances: Float32Array;
  /** The rank of the token among all in the vocabulary; 1 is the most likely. */
  ranks: Uint32Array;
  /** Whether the text had more tokens. */
  truncated: boolean;
}

/** A language model that reads texts: it computes hidden states and likelihoods, and does not generate. */
export declare class Decoder {
  private constructor();
  /**
   * Loads a Llama, Qwen2 or Qwen3 decoder (SmolLM2 is a Llama), or the first `layers` of it, from the store when it is there, else from
   * the host. An embedding table that is also the head is in memory once; with `embeddings: 'store'` it is only while it is read.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: DecoderLoadOptions): Promise<Decoder>;
  /**
   * Computes the hidden states of texts after any layer; the same text gives the same states whatever else is in the batch. Those after
   * the model's last layer have gone through its final norm, as `output_hidden_states` in `transformers` has them; all others have not.
   * It computes on the calling thread, yields to the event loop between layers, and runs calls one after another.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, also for a layer that was not loaded or a text without
   * tokens, `INTEGRITY` where the store has lost the embedding table, so that the model must be loaded again, `INVALID_WEIGHTS` where the tokenizer gives an id that the model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  hiddenStates(texts: string | readonly string[], options?: HiddenStatesOptions): Promise<HiddenStates>;
  /**
   * Computes how likely the tokens of texts are. The logits of one block of the vocabulary at a time are in memory. A text without
   * tokens has empty lists. It runs as `hiddenStates` does.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, also where only the first layers were loaded, or
   * where the table that is the head too stays in the store; `INTEGRITY` as `hiddenStates`,
   * `UNSUPPORTED_MODEL` where no token can begin a text, `INVALID_WEIGHTS` as `hiddenStates`, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  likelihoods(texts: string | readonly string[], options?: LikelihoodOptions): Promise<Likelihoods[]>;
  /** The number of values of a hidden state. */
  readonly dimensions: number;
  /** The longest text in tokens, at most 8,192; a longer one is cut and reported in `truncated`. */
  readonly maxTokens: number;
  /** The number of layers that were loaded: all that the model has, or `layers` of `load`. */
  readonly layers: number;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}
