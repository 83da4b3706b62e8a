/**
 * Indexes in memory. An object never changes, and the row of an index names the one that it has now: a change by any isolate is seen by
 * the next query of each, which puts the new object in the place of the old.
 */
import { VectorIndex } from 'pilotlight';
import { readAll } from '../bytes.ts';
import type { Host, StoredBlob } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { perHost } from '../per-host.ts';
import type { IndexRow } from '../tables/indexes.ts';
import { maxIndexBytes } from './limits.ts';

/** Milliseconds between looks at whether others have been loaded, and after which a load is known to have ended with its request. */
const WAIT_MS = 20;
const FORGET_MS = 60_000;

/** The columns that say which index it is, and in which object it is kept. */
type Placed = Pick<IndexRow, 'owner' | 'name'> & { object: string };

interface Loaded {
  object: string;
  index: VectorIndex;
}

export class LoadedIndexes {
  readonly #host: Host;
  /** The most bytes that all of them may take. */
  readonly #most: number;
  /** In the order of their last use. */
  readonly #loaded = new Map<string, Loaded>();
  readonly #loading = new Map<string, Promise<boolean>>();
  /** The bytes of those that are being loaded, and when that began. */
  readonly #coming = new Set<{ bytes: number; at: number }>();

  constructor(host: Host) {
    this.#host = host;
    this.#most = maxIndexBytes(host.settings);
  }

  /** The bytes that the loaded indexes take. */
  get bytes(): number {
    let sum = 0;
    for (const { index } of this.#loaded.values()) sum += index.memoryBytes;
    return sum;
  }

  /**
   * Calls `use` with an index and returns its result; undefined where the object is gone. The index may be disposed of, to make room for
   * others, as soon as `use` has returned.
   * @throws {GatewayError} `conflict` where it is larger than all indexes may be together
   */
  async with<T>(placed: Placed, use: (index: VectorIndex) => T): Promise<{ value: T } | undefined> {
    const key = keyOf(placed);
    const { object } = placed;
    for (;;) {
      const loaded = this.#loaded.get(key);
      if (loaded?.object === object) {
        this.#loaded.delete(key);
        this.#loaded.set(key, loaded);
        return { value: use(loaded.index) };
      }
      let loading = this.#loading.get(object);
      if (!loading) {
        loading = this.#load(key, object).finally(() => this.#loading.delete(object));
        this.#loading.set(object, loading);
        // Others wait for it too, when the request that began it has left.
        this.#host.hold(loading.catch(() => {}));
      }
      if (!(await loading)) return undefined;
    }
  }

  /** Frees the memory of an index that is no longer asked for. */
  drop(index: Pick<IndexRow, 'owner' | 'name'>): void {
    this.#drop(keyOf(index));
  }

  async #load(key: string, object: string): Promise<boolean> {
    const blob = await this.#host.blobs.get(object);
    if (!blob) return false;
    await this.reading(blob, async (bytes) => {
      const index = await VectorIndex.fromBytes(bytes);
      // The object that was loaded for this index before is not the one that it has now.
      this.#drop(key);
      this.#loaded.set(key, { object, index });
    });
    // In memory it may take more than its object has. It stays itself, as a request waits for it.
    while (this.#loaded.size > 1 && this.#comingBytes() + this.bytes > this.#most) this.#dropOldest();
    return true;
  }

  /**
   * Reads an object for `use`, once the bound has room for it: others that are read are waited for, and loaded ones are dropped.
   * @throws {GatewayError} `conflict` where it is larger than all indexes may be together
   */
  async reading<T>({ body, size }: StoredBlob, use: (bytes: Uint8Array) => Promise<T>): Promise<T> {
    if (size > this.#most) {
      await body.cancel();
      throw new GatewayError(
        'conflict',
        `The index has ${mib(size)} MiB, and all indexes in memory may take ${mib(this.#most)}: raise MAX_MEMORY_MB, of which it is a quarter.`,
        { headers: { 'x-should-retry': 'false' } },
      );
    }
    while (this.#comingBytes() + size > this.#most) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    const read = { bytes: size, at: Date.now() };
    this.#coming.add(read);
    try {
      while (this.#loaded.size > 0 && this.#comingBytes() + this.bytes > this.#most) this.#dropOldest();
      return await use(await readAll(body));
    } finally {
      this.#coming.delete(read);
    }
  }

  #comingBytes(): number {
    const old = Date.now() - FORGET_MS;
    let sum = 0;
    for (const load of this.#coming) {
      if (load.at < old) this.#coming.delete(load);
      else sum += load.bytes;
    }
    return sum;
  }

  #dropOldest(): void {
    const [oldest] = this.#loaded.keys();
    if (oldest !== undefined) this.#drop(oldest);
  }

  #drop(key: string): void {
    this.#loaded.get(key)?.index.dispose();
    this.#loaded.delete(key);
  }
}

const mib = (bytes: number): number => Math.ceil(bytes / 1_048_576);

const keyOf = ({ owner, name }: Pick<IndexRow, 'owner' | 'name'>): string => JSON.stringify([owner, name]);

/** The loaded indexes of a host. */
export const loadedIndexes = perHost((host) => new LoadedIndexes(host));
