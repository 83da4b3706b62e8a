import type { VectorIndexHandle } from '#core/cpu.js';
import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import type { Glue } from './core/glue.js';
import type { CoreInstance } from './core/instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { bytesOf, tagOf } from './inputs/foreign.js';
import { checkId, checkIds, checkTags, toFloats, toQuery, toWhole } from './inputs/vectors.js';
import { kindOf, stored } from './storage/named.js';

/** The cap on `k` and `candidates`: more than any index holds, and it fits Rust's `usize`. */
const MAX_COUNT = 1e9;

/** An index in a core. It runs on the CPU, in the same core as the models. */
export class VectorIndex implements Api.VectorIndex {
  readonly dimensions: number;
  readonly precision: Api.IndexPrecision;
  readonly metric: Api.IndexMetric;
  readonly prefilter: boolean;
  // Declared, not defined, so that the property is absent where no source was given.
  declare readonly source?: string;
  readonly #instance: CoreInstance;
  readonly #handle: VectorIndexHandle;
  #disposed = false;
  /** True while a search calls a filter function. */
  #searching = false;

  constructor(key: symbol, instance: CoreInstance, handle: VectorIndexHandle) {
    checkConstruct(key, 'VectorIndex', 'create(), fromBytes() or load()');
    this.#instance = instance;
    this.#handle = handle;
    const { dimensions, precision, metric, prefilter, source } = handle;
    this.dimensions = dimensions;
    this.precision = precision;
    this.metric = metric;
    this.prefilter = prefilter;
    if (source !== undefined) this.source = source;
  }

  static async create(options: Api.VectorIndexOptions): Promise<VectorIndex> {
    checkObject('options', options);
    return make(({ VectorIndexHandle }) => new VectorIndexHandle(options));
  }

  static async fromBytes(bytes: Uint8Array): Promise<VectorIndex> {
    const own = tagOf(bytes) === 'Uint8Array' ? bytesOf(bytes) : undefined;
    if (!own) throw new PilotlightError('INVALID_INPUT', `bytes: expected a Uint8Array, got ${kindOf(bytes)}`);
    return make(({ VectorIndexHandle }) => VectorIndexHandle.fromBytes(own));
  }

  static async load(name: string, options: Api.StoreOptions = {}): Promise<VectorIndex | undefined> {
    const instance = await start();
    const handle = await stored(instance, name, options, ({ VectorIndexHandle }, resolved) =>
      VectorIndexHandle.load(name, resolved),
    );
    return handle && new VectorIndex(CONSTRUCT, instance, handle);
  }

  static async delete(name: string, options: Api.StoreOptions = {}): Promise<boolean> {
    return stored(await start(), name, options, ({ VectorIndexHandle }, resolved) =>
      VectorIndexHandle.delete(name, resolved),
    );
  }

  get size(): number {
    return this.#call((handle) => handle.size);
  }

  get memoryBytes(): number {
    return this.#call((handle) => handle.memoryBytes);
  }

  has(id: Api.VectorId): boolean {
    return this.#call((handle) => handle.has(checkId('id', id)));
  }

  ids(): Api.VectorId[] {
    return this.#call((handle) => handle.ids());
  }

  add(ids: readonly Api.VectorId[], vectors: Api.Vectors, options: Api.AddOptions = {}): void {
    this.#change((handle) => handle.add(...this.#rows(ids, vectors, options)));
  }

  update(ids: readonly Api.VectorId[], vectors: Api.Vectors, options: Api.AddOptions = {}): void {
    this.#change((handle) => handle.update(...this.#rows(ids, vectors, options)));
  }

  remove(ids: readonly Api.VectorId[]): number {
    return this.#change((handle) => handle.remove(checkIds(ids)));
  }

  search(query: Api.Query, k: number, options: Api.SearchOptions = {}): Api.SearchHit[] {
    const { filter, exact, candidates } = checkObject('options', options) as Api.SearchOptions;
    const vector = toQuery(query, this.dimensions);
    const resolved = {
      exact,
      ...(candidates !== undefined && { candidates: Math.min(toWhole('candidates', candidates), MAX_COUNT) }),
    };
    const count = Math.min(toWhole('k', k), MAX_COUNT);
    if (typeof filter === 'function') return this.#filtered(vector, count, resolved, filter);
    const { tags, match = 'all' } =
      filter === undefined ? {} : (checkObject('filter', filter) as Partial<Api.TagFilter>);
    if (filter !== undefined && !Array.isArray(tags))
      throw new PilotlightError('INVALID_INPUT', 'filter: expected a function or { tags: [...] }');
    if (match !== 'all' && match !== 'any')
      throw new PilotlightError('INVALID_INPUT', `filter.match: expected 'all' or 'any', got ${String(match)}`);
    return this.#call((handle) => handle.search(vector, count, { ...resolved, tags, any: match === 'any' }));
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#call((handle) => {
      const length = handle.byteLength;
      let bytes: Uint8Array<ArrayBuffer>;
      try {
        bytes = new Uint8Array(length);
      } catch (error) {
        throw new PilotlightError('RESOURCE_LIMIT', `there is no memory for ${length} bytes`, error);
      }
      handle.write(bytes);
      return bytes;
    });
  }

  async save(name: string, options: Api.StoreOptions = {}): Promise<void> {
    this.#check();
    return stored(this.#instance, name, options, (_, resolved) => this.#handle.save(name, resolved));
  }

  dispose(): void {
    if (this.#disposed) return;
    if (this.#searching) throw unchangeable();
    this.#disposed = true;
    // A trapped instance is gone with all its memory. A save under way has a copy of its own.
    if (!this.#instance.gone) this.#instance.now(() => this.#handle.free());
  }

  /** Searches with a filter function. What the function throws, the search throws. */
  #filtered(vector: Float32Array, k: number, resolved: object, filter: (id: Api.VectorId) => boolean): Api.SearchHit[] {
    let thrown: { error: unknown } | undefined;
    const asked = (id: Api.VectorId): boolean => {
      if (thrown) return false;
      try {
        return Boolean(filter(id));
      } catch (error) {
        thrown = { error };
        return false;
      }
    };
    const before = this.#searching;
    this.#searching = true;
    try {
      const hits = this.#call((handle) => handle.search(vector, k, { ...resolved, filter: asked }));
      if (thrown) throw (thrown as { error: unknown }).error;
      return hits;
    } finally {
      this.#searching = before;
    }
  }

  #rows(
    ids: readonly Api.VectorId[],
    vectors: Api.Vectors,
    options: Api.AddOptions,
  ): [readonly Api.VectorId[], Float32Array, unknown] {
    const { tags } = checkObject('options', options) as Api.AddOptions;
    return [checkIds(ids), toFloats(vectors, ids.length, this.dimensions), checkTags(tags)];
  }

  #change<T>(work: (handle: VectorIndexHandle) => T): T {
    if (this.#searching) throw unchangeable();
    return this.#call(work);
  }

  #call<T>(work: (handle: VectorIndexHandle) => T): T {
    this.#check();
    try {
      return this.#instance.now(() => work(this.#handle));
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  #check(): void {
    if (this.#disposed) throw new PilotlightError('DISPOSED', 'this VectorIndex was disposed');
  }
}

async function start(): Promise<CoreInstance> {
  try {
    return await cores.cpu.instance();
  } catch (error) {
    throw toPilotlightError(error);
  }
}

async function make(work: (glue: Glue) => VectorIndexHandle): Promise<VectorIndex> {
  const instance = await start();
  try {
    return new VectorIndex(CONSTRUCT, instance, instance.now(work));
  } catch (error) {
    throw toPilotlightError(error);
  }
}

const unchangeable = (): PilotlightError =>
  new PilotlightError('INVALID_INPUT', 'a filter may not change the index that is searched');
