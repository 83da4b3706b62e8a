/** A bucket that speaks S3: of AWS, R2, Backblaze, MinIO and others. Objects are addressed by path. */
import { AwsClient } from 'aws4fetch';
import type { BlobBody, BlobPage, BlobRange, Blobs, PutOptions, StoredBlob } from '../host.ts';
import { checkKey, checkPut, exactly, streamOf } from './blob-key.ts';

/** The bytes of one part of a stream, of which S3 wants 5 MiB at least. */
const PART = 8 * 1024 * 1024;
/** The number of deletes at the same time. */
const AT_ONCE = 8;

export interface S3Options {
  /** The address of the bucket, such as `https://s3.eu-central-1.amazonaws.com/bucket`. */
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  region?: string;
}

export class S3Blobs implements Blobs {
  readonly #bucket: string;
  readonly #client: AwsClient;

  constructor({ bucket, accessKeyId, secretAccessKey, region = 'auto' }: S3Options) {
    this.#bucket = bucket.replace(/\/+$/, '');
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 3 });
  }

  async get(key: string, range?: BlobRange): Promise<StoredBlob | undefined> {
    checkKey(key);
    if (range?.length === 0) return this.#empty(key);
    const last = range ? range.offset + range.length - 1 : 0;
    const response = await this.#send('GET', key, { headers: range ? { range: `bytes=${range.offset}-${last}` } : {} });
    if (response.status === 416) {
      await response.body?.cancel();
      return this.#empty(key);
    }
    if (response.status === 404) {
      await response.body?.cancel();
      return undefined;
    }
    await expectOk(response, 'GET', key);
    const total = response.headers.get('content-range')?.split('/')[1] ?? response.headers.get('content-length');
    return { body: response.body ?? streamOf(new Uint8Array()), size: Number(total), etag: etagOf(response) };
  }

  async put(key: string, body: BlobBody, options: PutOptions = {}): Promise<{ etag: string } | undefined> {
    const size = checkPut(key, body, options);
    const condition: Record<string, string> = options.ifNoneMatch ? { 'if-none-match': '*' } : {};
    let response: Response;
    if (size > PART)
      response = await this.#putParts(key, body instanceof Uint8Array ? streamOf(body) : body, size, condition);
    else {
      const bytes = body instanceof Uint8Array ? body : await gather(body, size);
      response = await this.#send('PUT', key, { body: bytes as Uint8Array<ArrayBuffer>, headers: condition });
    }
    // Another put of the same name that runs at the same time is a conflict; it will be there.
    if (options.ifNoneMatch && (response.status === 412 || response.status === 409)) {
      await response.body?.cancel();
      return undefined;
    }
    await expectOk(response, 'PUT', key);
    const text = await response.text();
    return { etag: etagOf(response) || tag(text, 'ETag').replace(/&quot;|"/g, '') };
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    for (let at = 0; at < keys.length; at += AT_ONCE) {
      await Promise.all(
        keys.slice(at, at + AT_ONCE).map(async (key) => {
          const response = await this.#send('DELETE', key);
          if (response.status !== 404) await expectOk(response, 'DELETE', key);
          await response.body?.cancel();
        }),
      );
    }
  }

  async list(prefix: string, cursor = ''): Promise<BlobPage> {
    const query = new URLSearchParams({ 'list-type': '2', 'max-keys': '1000', prefix });
    if (cursor) query.set('start-after', cursor);
    const response = await this.#send('GET', '', {}, query);
    await expectOk(response, 'GET', '');
    const text = await response.text();
    const objects = [...text.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, entry = '']) => ({
      key: tag(entry, 'Key'),
      size: Number(tag(entry, 'Size')),
    }));
    const last = objects.at(-1);
    return tag(text, 'IsTruncated') === 'true' && last ? { objects, cursor: last.key } : { objects };
  }

  /** A part that is not sent leaves nothing: the object is there when all parts are put together. */
  async #putParts(
    key: string,
    body: ReadableStream<Uint8Array>,
    size: number,
    condition: Record<string, string>,
  ): Promise<Response> {
    const begun = await this.#send('POST', key, {}, new URLSearchParams({ uploads: '' }));
    await expectOk(begun, 'POST', key);
    const uploadId = tag(await begun.text(), 'UploadId');
    try {
      const etags: string[] = [];
      for await (const part of parts(body, size)) {
        const query = new URLSearchParams({ partNumber: String(etags.length + 1), uploadId });
        const sent = await this.#send('PUT', key, { body: part }, query);
        await expectOk(sent, 'PUT', key);
        etags.push(etagOf(sent));
      }
      const list = etags.map(
        (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>"${etag}"</ETag></Part>`,
      );
      const xml = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
      const done = await this.#send('POST', key, { body: xml, headers: condition }, new URLSearchParams({ uploadId }));
      const text = await done.text();
      const refused = done.status === 412 || done.status === 409;
      if (refused) await this.#abort(key, uploadId);
      // S3 may find an error after it has begun to answer 200.
      else if (!done.ok || text.includes('<Error>'))
        throw new Error(`S3 POST ${key}: ${done.status} ${tag(text, 'Code')}`);
      return new Response(text, { status: done.status });
    } catch (error) {
      await this.#abort(key, uploadId).catch(() => {});
      throw error;
    }
  }

  async #abort(key: string, uploadId: string): Promise<void> {
    const response = await this.#send('DELETE', key, {}, new URLSearchParams({ uploadId }));
    await response.body?.cancel();
  }

  async #empty(key: string): Promise<StoredBlob | undefined> {
    const response = await this.#send('HEAD', key);
    if (response.status === 404) return undefined;
    await expectOk(response, 'HEAD', key);
    const size = Number(response.headers.get('content-length'));
    return { body: streamOf(new Uint8Array()), size, etag: etagOf(response) };
  }

  #send(method: string, key: string, init: RequestInit = {}, query?: URLSearchParams): Promise<Response> {
    const address = `${this.#bucket}${key && `/${key}`}${query ? `?${query}` : ''}`;
    return this.#client.fetch(address, { ...init, method });
  }
}

/** @throws {Error} with the code that the bucket gave */
async function expectOk(response: Response, method: string, key: string): Promise<void> {
  if (response.ok) return;
  const text = await response.text();
  throw new Error(`S3 ${method} ${key}: ${response.status} ${tag(text, 'Code') || text.slice(0, 200)}`);
}

function etagOf(response: Response): string {
  return (response.headers.get('etag') ?? '').replace(/^W\/|"/g, '');
}

function tag(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
}

async function gather(stream: ReadableStream<Uint8Array>, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const piece of exactly(stream, size)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The stream in parts of equal size, but for the last. */
async function* parts(stream: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let part = new Uint8Array(Math.min(PART, size));
  let filled = 0;
  let left = size;
  for await (const piece of exactly(stream, size)) {
    for (let at = 0; at < piece.length; ) {
      const taken = piece.subarray(at, at + part.length - filled);
      part.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      if (filled < part.length) continue;
      yield part;
      left -= filled;
      part = new Uint8Array(Math.min(PART, left));
      filled = 0;
    }
  }
}
