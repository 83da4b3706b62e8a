/** Cloudflare's R2. */
import type { R2Bucket, R2ObjectBody, R2PutOptions } from '@cloudflare/workers-types';
import type { BlobBody, BlobPage, BlobRange, Blobs, PutOptions, StoredBlob } from '../host.ts';
import { checkKey, checkPut, streamOf } from './blob-key.ts';

/** R2's streams come in pieces of 4 KiB; gathered to these, a model loads in half the time. */
const PIECE = 1024 * 1024;
/** The names that one delete takes. */
const DELETED = 1000;

/** Classes and methods that workerd has beside the web's streams. */
declare const FixedLengthStream: new (size: number) => TransformStream<Uint8Array, Uint8Array>;
interface GatheringReader extends ReadableStreamBYOBReader {
  readAtLeast(bytes: number, view: Uint8Array): Promise<ReadableStreamReadResult<Uint8Array>>;
}

export class R2Blobs implements Blobs {
  readonly #bucket: R2Bucket;

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
  }

  async get(key: string, range?: BlobRange): Promise<StoredBlob | undefined> {
    checkKey(key);
    if (range?.length === 0) return this.#empty(key);
    let object: R2ObjectBody | null;
    try {
      object = await this.#bucket.get(key, range ? { range } : {});
    } catch (error) {
      // R2 has no range that begins at the end or behind it.
      const empty = range && (await this.#empty(key));
      if (empty && range.offset >= empty.size) return empty;
      throw error;
    }
    if (!object) return undefined;
    const body = gathered(object.body as unknown as ReadableStream<Uint8Array>);
    return { body, size: object.size, etag: object.etag };
  }

  async put(key: string, body: BlobBody, options: PutOptions = {}): Promise<{ etag: string } | undefined> {
    const size = checkPut(key, body, options);
    const condition: R2PutOptions = options.ifNoneMatch ? { onlyIf: { etagDoesNotMatch: '*' } } : {};
    if (body instanceof Uint8Array) return etagOf(await this.#bucket.put(key, body, condition));
    const stop = new AbortController();
    const fixed = new FixedLengthStream(size);
    const failure = body.pipeTo(fixed.writable, { signal: stop.signal }).then(
      () => undefined,
      (error: unknown) => error,
    );
    try {
      return etagOf(await this.#bucket.put(key, fixed.readable as never, condition));
    } catch (error) {
      stop.abort(error);
      throw (await failure) ?? error;
    } finally {
      // A put that was not to be done has not read the stream.
      stop.abort();
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    for (let at = 0; at < keys.length; at += DELETED) await this.#bucket.delete(keys.slice(at, at + DELETED));
  }

  async list(prefix: string, cursor?: string): Promise<BlobPage> {
    const page = await this.#bucket.list({ prefix, limit: 1000, ...(cursor ? { cursor } : {}) });
    const objects = page.objects.map(({ key, size }) => ({ key, size }));
    return page.truncated ? { objects, cursor: page.cursor } : { objects };
  }

  async #empty(key: string): Promise<StoredBlob | undefined> {
    const head = await this.#bucket.head(key);
    return head ? { body: streamOf(new Uint8Array()), size: head.size, etag: head.etag } : undefined;
  }
}

function etagOf(object: { etag: string } | null): { etag: string } | undefined {
  return object ? { etag: object.etag } : undefined;
}

/** The same bytes in pieces of 1 MiB. */
export function gathered(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = stream.getReader({ mode: 'byob' }) as GatheringReader;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await reader.readAtLeast(PIECE, new Uint8Array(PIECE));
        if (value && value.byteLength > 0) controller.enqueue(value);
        if (done) controller.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
