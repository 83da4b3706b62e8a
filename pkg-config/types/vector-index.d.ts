import type { Embeddings, StoreOptions } from './index.js';

/** The format of each value in an index: 4 bytes, 1 byte (with a scale for each vector) or 1 bit (its sign). */
export type IndexPrecision = 'float32' | 'int8' | 'binary';

/** The measure by which an index compares vectors: the cosine of their angle, or their dot product, which grows with their lengths. */
export type IndexMetric = 'cosine' | 'dot';

/** The id of a vector: a text, or a safe integer. `1` and `'1'` are different ids. */
export type VectorId = string | number;

/** Vectors in the order of their ids: all values one after the other, an array for each vector, or the result of `embed` (`'float32'`). */
export type Vectors = Float32Array | readonly (readonly number[] | Float32Array)[] | Pick<Embeddings, 'data' | 'dims'>;

/** One vector. */
export type Query = Float32Array | readonly number[] | Pick<Embeddings, 'data' | 'dims'>;

export interface VectorIndexOptions {
  /** The number of values of a vector, 1 to 32768. */
  dimensions: number;
  /** The format of the values; default `'int8'`: a quarter of the memory of `'float32'`, and scores that usually differ by less than 0.01. */
  precision?: IndexPrecision;
  /**
   * The measure of similarity; default `'cosine'`. `'dot'` is for models that were trained for dot products, whose `embedder.similarity` is `'dot'`:
   * their vectors keep their lengths. It needs `'float32'` or `'int8'`, without `prefilter`, because signs do not depend on lengths.
   */
  metric?: IndexMetric;
  /**
   * Keeps the sign of each value beside the rows, an eighth of `'int8'` more. Large sets are then searched by the signs first, and
   * only the nearest candidates are scored by the rows: several times as fast, and nearly always the same result. Default `false`.
   */
  prefilter?: boolean;
  /**
   * The model, its number of layers if not all were loaded, the dtype and the build that made the vectors. It is saved with the index;
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
  /** Whether a vector must have all of the tags or any; default `'all'`. */
  match?: 'all' | 'any';
}

export interface SearchOptions {
  /**
   * The condition on vectors that may be found. A function is called at most once for an id: for those that are among the best so far, or for all
   * with the prefilter and with `'binary'`. It must not change the index; an error that it throws ends the search. Tags cost next to nothing.
   */
  filter?: ((id: VectorId) => boolean) | TagFilter;
  /** Whether every row is scored in spite of a prefilter. */
  exact?: boolean;
  /** The number of vectors that pass the prefilter; default 15 times `k`, at least 150. Sets of up to twice as many are searched exactly. */
  candidates?: number;
}

export interface SearchHit {
  id: VectorId;
  /** The cosine, -1 to 1, or by the metric `'dot'` the dot product, of the vectors in the index's precision. */
  score: number;
}

/**
 * Vectors by id, searched by cosine or dot product, in WebAssembly memory. Its calls compute on the calling thread until they are done: 100,000
 * vectors of 512 values in `'int8'` are searched through in about 3 ms, and with the prefilter in less than 1 ms. Independent of models.
 */
export declare class VectorIndex {
  private constructor();
  /** Makes an empty index. @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED` or `BACKEND_UNAVAILABLE` where the core cannot start */
  static create(options: VectorIndexOptions): Promise<VectorIndex>;
  /**
   * Appends vectors: all, or none where one is invalid. By cosine, their lengths (norms) do not matter. The index does not keep the arrays.
   * @throws {PilotlightError} `INVALID_INPUT` naming the row: an id that is there already or comes twice, a vector of another number of
   * values, with a value that is not finite, by cosine one of zeros alone, and by dot product one with values above 1e15 or below -1e15;
   * `RESOURCE_LIMIT`, `DISPOSED`
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
   * Returns the `k` vectors with the largest scores, the largest first, equal ones in the order in which they were added; all where
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
  readonly metric: IndexMetric;
  readonly prefilter: boolean;
  /** The `source` option, where it was given. */
  readonly source?: string;
  /** The approximate number of bytes of WebAssembly memory that it takes. @throws {PilotlightError} `DISPOSED` */
  readonly memoryBytes: number;
  /** The index as bytes, with a digest; the caller owns them. Equal indexes give equal bytes. @throws {PilotlightError} `RESOURCE_LIMIT`, `DISPOSED` */
  toBytes(): Uint8Array<ArrayBuffer>;
  /**
   * Makes an index from the bytes of `toBytes`, which it does not keep.
   * @throws {PilotlightError} `INVALID_INPUT` for bytes of another format, `INTEGRITY` where they were altered, `RESOURCE_LIMIT`
   */
  static fromBytes(bytes: Uint8Array): Promise<VectorIndex>;
  /**
   * Saves the index, as it is at the call, under a name; it may be changed and disposed of meanwhile. Only what changed since the last
   * save is written, in parts of about 2 MiB, and until all of them are written `load` returns the former version.
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
   * Frees its memory. Later calls throw `'DISPOSED'`, but a second `dispose` does nothing.
   * @throws {PilotlightError} `INVALID_INPUT` when the filter of a search calls it
   */
  dispose(): void;
}
