import type { BackendReport, LoadOptions } from './index.js';

export interface RankOptions {
  /** The number of documents to return, the best first; default all. */
  topK?: number;
  /** Cancels between batches and layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** A document's score for the query. */
export interface RankedDocument {
  /** The place of the document in the list that was given. */
  index: number;
  /**
   * The score, higher for a better answer: the logit, or its sigmoid (0 to 1), as the repository's config has it. It orders documents of one query;
   * scores of different queries or models cannot be compared.
   */
  score: number;
  /** The output of the network. */
  logit: number;
  /** The number of tokens of query and document that went through the model, special tokens included. */
  tokens: number;
  /** Whether they had more tokens than `maxTokens`; of the two texts the longer one is cut first. */
  truncated: boolean;
}

/**
 * A cross-encoder: it reads a query and a document together and scores how well the second answers the first. This orders the best results of a
 * search better than vectors do, and takes a run of the model for each document.
 */
export declare class Reranker {
  private constructor();
  /**
   * Loads a checkpoint for sequence classification with one label, such as `cross-encoder/ms-marco-MiniLM-L6-v2` or `BAAI/bge-reranker-base`,
   * from the store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL` naming the
   * `architectures` of another checkpoint or the number of its labels, `RESOURCE_LIMIT`, `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: LoadOptions): Promise<Reranker>;
  /**
   * Scores each document with the query, and returns them with the best first; of equal ones the first in the list. A document has the same score
   * whatever else is in the list. It computes on the calling thread, yields to the event loop between layers, and runs calls one after another.
   * @throws {PilotlightError} `INVALID_INPUT` naming the text or the option, `INVALID_WEIGHTS` where the tokenizer gives an id that the model
   * does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  rank(query: string, documents: readonly string[], options?: RankOptions): Promise<RankedDocument[]>;
  /** The longest pair of texts in tokens. */
  readonly maxTokens: number;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}
