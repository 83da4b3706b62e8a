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
  /** The number of changes that this isolate was told of. */
  #changes = 0;

  constructor(parts: Pick<Host, 'sql' | 'blobs'>) {
    this.#parts = parts;
  }

  /** All heads, as of some seconds ago. */
  async list(): Promise<HeadRow[]> {
    if (Date.now() - this.#readAt > KEEP_MS) await this.#read();
    return this.#rows;
  }

  async find(name: string): Promise<HeadRow | undefined> {
    const find = () => this.#rows.find((row) => row.name === name);
    await this.list();
    // Another isolate may have taken the head a moment ago.
    if (!find()) await this.#read();
    return find();
  }

  /** The head as it is in the table now, for those who change it. */
  async findNow(name: string): Promise<HeadRow | undefined> {
    await this.#read();
    return this.#rows.find((row) => row.name === name);
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

  async #read(): Promise<void> {
    const changes = this.#changes;
    this.#rows = await listHeads(this.#parts.sql);
    // What was read before a change of the table is old already.
    if (changes === this.#changes) this.#readAt = Date.now();
  }
}
