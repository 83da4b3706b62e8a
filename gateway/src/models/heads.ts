/** The heads of this deployment, as the table has them. Each isolate reads the table again after some seconds. */
import type { Host } from '../host.ts';
import { type HeadRow, listHeads } from '../tables/heads.ts';

/** Milliseconds for which an isolate may miss a change of the heads that another one has made. */
const KEEP_MS = 10_000;

/** The name of a head's JSON among the blobs. */
export const headKey = (name: string, digest: string): string => `heads/${name}/${digest}.json`;

export class Heads {
  readonly #parts: Pick<Host, 'sql' | 'blobs'>;
  #rows: HeadRow[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  /** Counts calls of `forget`, by which a read notices that the table was changed after it began. */
  #changes = 0;

  constructor(parts: Pick<Host, 'sql' | 'blobs'>) {
    this.#parts = parts;
  }

  /** All heads, as of some seconds ago. */
  async list(): Promise<HeadRow[]> {
    return Date.now() - this.#readAt > KEEP_MS ? this.#read() : this.#rows;
  }

  async find(name: string): Promise<HeadRow | undefined> {
    const found = (await this.list()).find((row) => row.name === name);
    // Another isolate may have taken the head a moment ago.
    return found ?? this.findNow(name);
  }

  /** Reads the table and returns the head as it is now, for the administrator's routes. */
  async findNow(name: string): Promise<HeadRow | undefined> {
    return (await this.#read()).find((row) => row.name === name);
  }

  /** To be called when the table was changed. */
  forget(): void {
    this.#changes += 1;
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  async json({ name, digest }: Pick<HeadRow, 'name' | 'digest'>): Promise<object> {
    const object = await this.#parts.blobs.get(headKey(name, digest));
    if (!object) {
      // Another isolate has put another JSON under this name, or has deleted it.
      this.forget();
      throw new Error(`the JSON of the head ${name} is gone`);
    }
    return (await new Response(object.body).json()) as object;
  }

  async #read(): Promise<HeadRow[]> {
    const changes = this.#changes;
    const rows = await listHeads(this.#parts.sql);
    // A read that began before a change may have missed it, and must not replace what was read since.
    if (changes === this.#changes) {
      this.#rows = rows;
      this.#readAt = Date.now();
    }
    return rows;
  }
}
