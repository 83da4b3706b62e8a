/** Indexes in memory. An object never changes, so one that is loaded under its name stays right. */
import { VectorIndex } from 'pilotlight';
import { readAll } from '../bytes.ts';
import type { Host } from '../host.ts';
import { perHost } from '../per-host.ts';
import { maxIndexBytes } from './limits.ts';

export class LoadedIndexes {
  readonly #host: Host;
  /** The most bytes that all of them may take. */
  readonly #most: number;
  /** In the order of their last use. */
  readonly #loaded = new Map<string, VectorIndex>();
  readonly #loading = new Map<string, Promise<boolean>>();

  constructor(host: Host) {
    this.#host = host;
    this.#most = maxIndexBytes(host.settings);
  }

  /**
   * Calls `use` with the index of an object and returns its result; undefined where the object is gone. The index may be disposed of, to make
   * room for others, as soon as `use` has returned.
   */
  async with<T>(object: string, use: (index: VectorIndex) => T): Promise<{ value: T } | undefined> {
    for (;;) {
      const loaded = this.#loaded.get(object);
      if (loaded) {
        this.#loaded.delete(object);
        this.#loaded.set(object, loaded);
        return { value: use(loaded) };
      }
      let loading = this.#loading.get(object);
      if (!loading) {
        loading = this.#load(object).finally(() => this.#loading.delete(object));
        this.#loading.set(object, loading);
        // Others wait for it too, when the request that began it has left.
        this.#host.hold(loading.catch(() => {}));
      }
      if (!(await loading)) return undefined;
    }
  }

  /** Frees the memory of an index that is no longer asked for. */
  drop(object: string): void {
    this.#loaded.get(object)?.dispose();
    this.#loaded.delete(object);
  }

  async #load(object: string): Promise<boolean> {
    const blob = await this.#host.blobs.get(object);
    if (!blob) return false;
    const index = await VectorIndex.fromBytes(await readAll(blob.body));
    this.#loaded.set(object, index);
    let bytes = 0;
    for (const { memoryBytes } of this.#loaded.values()) bytes += memoryBytes;
    for (const [name, other] of this.#loaded) {
      if (bytes <= this.#most) break;
      // The one that was just loaded is the last, and stays though it is too large: it is what a request waits for.
      if (other === index) break;
      bytes -= other.memoryBytes;
      this.drop(name);
    }
    return true;
  }
}

/** The loaded indexes of a host. */
export const loadedIndexes = perHost((host) => new LoadedIndexes(host));
