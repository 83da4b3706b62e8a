import { aborted } from '../calls/abort.js';
import { PilotlightError } from '../error.js';
import { bytesOf, has, kindOf, tagOf } from './foreign.js';

/** A sequence of bytes that WebAssembly reads in order, with one call at a time. */
export interface ByteReader {
  /** The next bytes, or `undefined` at the end. */
  read(): Promise<Uint8Array | undefined>;
  /**
   * Has the runtime hash all bytes, where it can; to be called before the first `read`.
   * Resolves to the SHA-256 where it is known at once, `true` where `sha256` will return it, `false` where the runtime cannot hash.
   */
  hash(): Promise<Uint8Array | boolean>;
  /** The SHA-256 of all that was read. */
  sha256(): Promise<Uint8Array>;
  /** Releases the source of the bytes. */
  cancel(): void;
}

/** Bytes that `read` gathers before it hands them to WebAssembly: larger pieces are no faster. */
const ENOUGH = 64 << 10;

/** Size in bytes of the buffer that is given to a byte stream to fill. */
const BUFFER = 256 << 10;

/** Milliseconds after which `read` hands over fewer bytes, so that progress is seen on a slow connection. */
const LINGER = 20;

/** Bytes of a file that are read at a time. */
const SLICE = 1 << 20;

/** The most bytes that are hashed in one call: the runtime copies them first. */
const MAX_HASHED = 64 << 20;

/** Reads bytes in memory, or those of a function that brings all of them there at once. */
export class MemoryReader implements ByteReader {
  #bytes: Uint8Array | (() => Promise<Uint8Array>) | undefined;

  constructor(bytes: Uint8Array | (() => Promise<Uint8Array>)) {
    this.#bytes = bytes;
  }

  async read(): Promise<Uint8Array | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    const all = typeof bytes === 'function' ? await bytes() : bytes;
    return all?.length ? all : undefined;
  }

  async hash(): Promise<Uint8Array | boolean> {
    if (typeof this.#bytes === 'function') this.#bytes = await this.#bytes();
    return (this.#bytes && (await sha256(this.#bytes))) ?? false;
  }

  async sha256(): Promise<Uint8Array> {
    throw notHashed();
  }

  cancel(): void {
    this.#bytes = undefined;
  }
}

/** The properties of a `Blob` of any realm; `slice` may be missing. */
export interface BlobLike {
  readonly size: number;
  slice?(from: number, to: number): BlobLike;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** Reads a file, which may be larger than memory. It does not use `stream()`: some blobs have none, and others stream 64 KiB at a time. */
export class BlobReader implements ByteReader {
  readonly #blob: BlobLike;
  #position: number;
  #whole: Uint8Array | undefined;

  constructor(blob: BlobLike, from: number) {
    this.#blob = blob;
    this.#position = from;
  }

  async read(): Promise<Uint8Array | undefined> {
    const from = this.#position;
    const { size } = this.#blob;
    if (from >= size) return undefined;
    if (this.#whole || !this.#blob.slice) {
      const bytes = this.#whole ?? (await bytesIn(this.#blob));
      this.#whole = undefined;
      this.#position = size;
      return bytes.subarray(from);
    }
    this.#position = Math.min(from + SLICE, size);
    return bytesIn(this.#blob.slice(from, this.#position));
  }

  async hash(): Promise<Uint8Array | boolean> {
    if (this.#position > 0 || this.#blob.size > MAX_HASHED || !canHash()) return false;
    this.#whole = await bytesIn(this.#blob);
    return (await sha256(this.#whole)) ?? false;
  }

  async sha256(): Promise<Uint8Array> {
    throw notHashed();
  }

  cancel(): void {
    this.#position = Number.POSITIVE_INFINITY;
    this.#whole = undefined;
  }
}

/** The pieces of a stream of any kind. */
interface Pieces {
  next(): Promise<{ done?: boolean | undefined; value?: unknown }>;
  cancel(): unknown;
}

/** Reads ahead in a stream until `ENOUGH` bytes are there, the stream ends, or `LINGER` milliseconds have passed. */
export class StreamReader implements ByteReader {
  readonly #pieces: Pieces;
  readonly #signal: AbortSignal | undefined;
  #gathered: Uint8Array[] = [];
  #size = 0;
  #gathering = false;
  #late = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  #failure: { error: unknown } | undefined;
  #wake = (): void => {};
  #digest: { stream: DigestStream; writer: WritableStreamDefaultWriter<Uint8Array> } | undefined;

  /** @throws {PilotlightError} `INVALID_INPUT` where the stream is locked */
  constructor(stream: unknown, signal: AbortSignal | undefined) {
    this.#pieces = piecesOf(stream);
    this.#signal = signal;
    if (signal?.aborted) this.#stop();
    else signal?.addEventListener('abort', this.#stop, { once: true });
  }

  async read(): Promise<Uint8Array | undefined> {
    if (!this.#ended && this.#size < ENOUGH && !this.#late) {
      const enough = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      void this.#gather();
      await enough;
    }
    // Bytes from before a failure are handed over first, so that a download can be resumed after them.
    if (this.#size > 0) return this.#take();
    if (this.#failure) throw this.#failure.error;
    return undefined;
  }

  async hash(): Promise<boolean> {
    const { DigestStream } = (globalThis.crypto as (Partial<WorkerdCrypto> & Partial<Crypto>) | undefined) ?? {};
    if (typeof DigestStream !== 'function') return false;
    const stream = new DigestStream('SHA-256');
    stream.digest.catch(() => {});
    this.#digest = { stream, writer: stream.getWriter() };
    return true;
  }

  async sha256(): Promise<Uint8Array> {
    const digest = this.#digest;
    this.#digest = undefined;
    if (!digest) throw notHashed();
    await digest.writer.close();
    return new Uint8Array(await digest.stream.digest);
  }

  cancel(): void {
    this.#gathered = [];
    this.#size = 0;
    void this.#digest?.writer.abort().catch(() => {});
    this.#digest = undefined;
    this.#end();
  }

  async #gather(): Promise<void> {
    if (this.#gathering) return;
    this.#gathering = true;
    try {
      while (!this.#ended && this.#size < ENOUGH) {
        const { done, value } = await this.#pieces.next();
        if (this.#ended) return;
        if (done) {
          this.#end(false);
          return;
        }
        const bytes = bytesOf(value);
        if (!bytes) throw new PilotlightError('INVALID_INPUT', `the stream yields ${kindOf(value)}, expected bytes`);
        if (bytes.length === 0) continue;
        this.#gathered.push(bytes);
        this.#size += bytes.length;
        this.#timer ??= setTimeout(() => {
          this.#late = true;
          this.#wake();
        }, LINGER);
      }
    } catch (error) {
      if (!this.#ended) {
        this.#failure = { error };
        this.#end();
      }
    } finally {
      this.#gathering = false;
      this.#wake();
    }
  }

  #take(): Uint8Array {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#late = false;
    const [first, ...others] = this.#gathered as [Uint8Array, ...Uint8Array[]];
    let bytes = first;
    if (others.length > 0) {
      bytes = new Uint8Array(this.#size);
      let end = 0;
      for (const piece of this.#gathered) {
        bytes.set(piece, end);
        end += piece.length;
      }
    }
    this.#gathered = [];
    this.#size = 0;
    void this.#digest?.writer.write(bytes).catch(() => {});
    return bytes;
  }

  readonly #stop = (): void => {
    this.#gathered = [];
    this.#size = 0;
    if (this.#signal) this.#failure = { error: aborted(this.#signal) };
    this.#end();
  };

  /** Stops reading. `early` says that the stream has not ended by itself and must be cancelled. */
  #end(early = true): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#stop);
    this.#wake();
    if (early) void settled(() => this.#pieces.cancel());
  }
}

/** An addition of Cloudflare's workerd to WebCrypto. */
interface WorkerdCrypto {
  DigestStream: new (algorithm: 'SHA-256') => DigestStream;
}

interface DigestStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;
}

const isReadable = (stream: unknown): stream is ReadableStream<unknown> => has(stream, 'getReader');

function piecesOf(stream: unknown): Pieces {
  if (isReadable(stream)) {
    try {
      return filled(stream) ?? readerOf(stream);
    } catch (error) {
      throw new PilotlightError('INVALID_INPUT', 'the stream is locked or was read before', error);
    }
  }
  const iterator = (stream as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  return { next: () => iterator.next(), cancel: () => iterator.return?.() };
}

function readerOf(stream: ReadableStream<unknown>): Pieces {
  const reader = stream.getReader();
  return { next: () => reader.read(), cancel: () => reader.cancel() };
}

/**
 * Reads a stream in workerd by pieces as large as the buffer that it is given: 24 MB from R2 take 20 ms, and 185 ms by the default
 * pieces of 4 KiB. Other runtimes give larger pieces by default, and are not known to do this well. Returns `undefined` where the
 * stream or runtime cannot do it.
 */
function filled(stream: ReadableStream<unknown>): Pieces | undefined {
  if (typeof ReadableStreamBYOBReader !== 'function' || !('readAtLeast' in ReadableStreamBYOBReader.prototype))
    return undefined;
  let reader: ReadableStreamBYOBReader;
  try {
    reader = stream.getReader({ mode: 'byob' });
  } catch {
    // The stream is locked, or not a byte stream.
    return undefined;
  }
  let buffer = new ArrayBuffer(BUFFER);
  return {
    async next() {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done || !value) return { done: true };
      const isLarge = value.length * 2 > BUFFER;
      buffer = isLarge ? new ArrayBuffer(BUFFER) : value.buffer;
      return { value: isLarge ? value : value.slice() };
    },
    cancel: () => reader.cancel(),
  };
}

/** Waits for `work` and ignores whether it fails. */
async function settled(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch {
    // The stream is not read any more, so its failure does not matter.
  }
}

/** Returns all bytes of a `Blob` or a `Response`. */
export async function bytesIn(source: Pick<BlobLike, 'arrayBuffer'>): Promise<Uint8Array> {
  const bytes = bytesOf(await source.arrayBuffer());
  if (bytes) return bytes;
  throw new PilotlightError('INVALID_INPUT', 'its arrayBuffer() gives something else than an ArrayBuffer');
}

/** Whether the runtime can hash: a page over plain HTTP has no `crypto.subtle`. */
const canHash = (): boolean => has((globalThis.crypto as Partial<Crypto> | undefined)?.subtle, 'digest');

/** Hashes bytes; `undefined` where the runtime cannot. WebAssembly then hashes them, which takes about five times as long. */
async function sha256(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (!canHash() || bytes.length > MAX_HASHED || tagOf(bytes.buffer) === 'SharedArrayBuffer') return undefined;
  try {
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  } catch {
    return undefined;
  }
}

const notHashed = (): PilotlightError => new PilotlightError('INTERNAL', 'nothing was hashed');
