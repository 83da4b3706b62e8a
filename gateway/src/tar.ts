/** Archives in the ustar format (POSIX.1-1988), as streams: `tar` reads what is written here, and what it writes is read. */

const BLOCK = 512;
const encoder = new TextEncoder();

export interface TarEntry {
  name: string;
  size: number;
  body: AsyncIterable<Uint8Array>;
}

/** The blocks of an archive. Each entry is read to its end before the next one is asked for. */
export async function* writeTar(entries: AsyncIterable<TarEntry>): AsyncGenerator<Uint8Array> {
  for await (const { name, size, body } of entries) {
    yield header(name, size);
    let written = 0;
    for await (const piece of body) {
      written += piece.length;
      yield piece;
    }
    if (written !== size) throw new Error(`${name}: expected ${size} bytes, got ${written}`);
    if (size % BLOCK !== 0) yield new Uint8Array(BLOCK - (size % BLOCK));
  }
  yield new Uint8Array(2 * BLOCK);
}

function header(name: string, size: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number) => block.set(encoder.encode(text), at);
  const [prefix, rest] = splitName(name);
  put(rest, 0);
  put('0000600\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  put(`${size.toString(8).padStart(11, '0')}\0`, 124);
  put(`${'0'.repeat(11)}\0`, 136);
  // A checksum counts its own field as spaces.
  put('        ', 148);
  put('0', 156);
  put('ustar\0', 257);
  put('00', 263);
  put(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Cuts a name at a slash, as its last 100 bytes and the up to 155 before are two fields. */
function splitName(name: string): [string, string] {
  if (name.length <= 100) return ['', name];
  const slash = name.lastIndexOf('/', 155);
  if (slash < 1 || name.length - slash - 1 > 100) throw new Error(`${name}: too long for an archive`);
  return [name.slice(0, slash), name.slice(slash + 1)];
}

/**
 * The entries of an archive; each is to be read to its end, or left alone, before the next one is asked for.
 * @throws {Error} where the archive is damaged or ends early
 */
export async function* readTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const bytes = new Reader(stream);
  for (;;) {
    const block = await bytes.exactly(BLOCK);
    if (!block) throw new Error('the archive ends early');
    if (block.every((byte) => byte === 0)) return;
    const { name, size, file } = readHeader(block);
    const body = bytes.some(size);
    if (file) yield { name, size, body };
    for await (const _ of body);
    if (size % BLOCK !== 0 && !(await bytes.exactly(BLOCK - (size % BLOCK)))) throw new Error('the archive ends early');
  }
}

function readHeader(block: Uint8Array): { name: string; size: number; file: boolean } {
  const text = (at: number, length: number) => {
    const field = block.subarray(at, at + length);
    const end = field.indexOf(0);
    return new TextDecoder().decode(end === -1 ? field : field.subarray(0, end));
  };
  const counted = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  const size = Number.parseInt(text(124, 12).trim(), 8);
  if (Number.parseInt(text(148, 8).trim(), 8) !== counted || !Number.isSafeInteger(size)) {
    throw new Error('this is no archive, or it is damaged');
  }
  const prefix = text(345, 155);
  const type = text(156, 1);
  return { name: prefix ? `${prefix}/${text(0, 100)}` : text(0, 100), size, file: type === '0' || type === '' };
}

/** Bytes of a stream, as many as are asked for. */
class Reader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#pieces = stream[Symbol.asyncIterator]();
  }

  /** The next `count` bytes; undefined where the stream has fewer. */
  async exactly(count: number): Promise<Uint8Array | undefined> {
    const all = new Uint8Array(count);
    let filled = 0;
    for await (const piece of this.some(count)) {
      all.set(piece, filled);
      filled += piece.length;
    }
    return filled === count ? all : undefined;
  }

  /** The next `count` bytes, piece by piece; it may be asked again, and goes on. */
  some(count: number): AsyncIterable<Uint8Array> {
    let left = count;
    const next = async (): Promise<IteratorResult<Uint8Array>> => {
      if (left === 0) return { done: true, value: undefined };
      if (this.#rest.length === 0) {
        const { done, value } = await this.#pieces.next();
        if (done) {
          left = 0;
          throw new Error('the archive ends early');
        }
        this.#rest = value;
        return next();
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      return { done: false, value: piece };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }
}
