/** Objects as files of a folder. */
import type { Dirent, Stats } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BlobBody, BlobPage, BlobRange, Blobs, PutOptions, StoredBlob } from '../host.ts';
import { checkKey, checkPut, exactly, streamOf } from './blob-key.ts';

/** The bytes that are read at once; what fits is read before `get` returns, so that no file stays open for it. */
const PIECE = 1024 * 1024;
const PAGE = 1000;
/** Files that are being written are in here. No object has such a name. */
const WRITING = '~writing';

export class FolderBlobs implements Blobs {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async get(key: string, range?: BlobRange): Promise<StoredBlob | undefined> {
    checkKey(key);
    const file = await open(join(this.#root, key), 'r').catch(none);
    if (!file) return undefined;
    let kept = false;
    try {
      const stats = await file.stat();
      if (!stats.isFile()) return undefined;
      const start = Math.min(range?.offset ?? 0, stats.size);
      const end = Math.min(start + (range?.length ?? stats.size), stats.size);
      kept = end - start > PIECE;
      const body = kept ? pieces(file, start, end) : streamOf(await read(file, start, end));
      return { body, size: stats.size, etag: etagOf(stats) };
    } finally {
      if (!kept) await file.close();
    }
  }

  async put(key: string, body: BlobBody, options: PutOptions = {}): Promise<{ etag: string } | undefined> {
    const size = checkPut(key, body, options);
    const path = join(this.#root, key);
    const writing = join(this.#root, WRITING, crypto.randomUUID());
    await mkdir(dirname(writing), { recursive: true });
    try {
      const file = await open(writing, 'wx');
      let stats: Stats;
      try {
        let at = 0;
        for await (const piece of body instanceof Uint8Array ? [body] : exactly(body, size)) {
          await write(file, piece, at);
          at += piece.length;
        }
        // The name must not become visible before the bytes are on the disk.
        await file.sync();
        stats = await file.stat();
      } finally {
        await file.close();
      }
      await place(writing, path, options.ifNoneMatch ? link : rename);
      return { etag: etagOf(stats) };
    } catch (error) {
      if (options.ifNoneMatch && codeOf(error) === 'EEXIST') return undefined;
      throw error;
    } finally {
      await rm(writing, { force: true });
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    for (const key of keys) {
      const path = join(this.#root, key);
      if (!(await stat(path).catch(none))?.isFile()) continue;
      await rm(path, { force: true });
      await this.#removeEmpty(dirname(key));
    }
  }

  /** Removes folders that have nothing in them any more, so that lists do not walk through them. */
  async #removeEmpty(folder: string): Promise<void> {
    for (let at = folder; at !== '.'; at = dirname(at)) {
      try {
        await rmdir(join(this.#root, at));
      } catch {
        return;
      }
    }
  }

  async list(prefix: string, cursor = ''): Promise<BlobPage> {
    const keys: string[] = [];
    for await (const key of walk(this.#root, '', prefix, cursor)) {
      keys.push(key);
      if (keys.length > PAGE) break;
    }
    const more = keys.length > PAGE;
    const objects: { key: string; size: number }[] = [];
    for (const key of keys.slice(0, PAGE)) {
      const stats = await stat(join(this.#root, key)).catch(none);
      if (stats) objects.push({ key, size: stats.size });
    }
    const last = keys[PAGE - 1];
    return more && last !== undefined ? { objects, cursor: last } : { objects };
  }
}

/** Gives a finished file its name. A delete may remove the folder in between, as it was empty. */
async function place(from: string, to: string, move: (from: string, to: string) => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    await mkdir(dirname(to), { recursive: true });
    try {
      return await move(from, to);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || tries === 5) throw error;
    }
  }
}

/** The names in a folder that start with `prefix` and come after `cursor`, in the order of their characters. */
async function* walk(root: string, folder: string, prefix: string, cursor: string): AsyncGenerator<string> {
  const entries = (await readdir(join(root, folder), { withFileTypes: true }).catch(none)) ?? [];
  // A folder is compared with its slash, as the names in it are.
  const name = (entry: Dirent) => folder + entry.name + (entry.isDirectory() ? '/' : '');
  const sorted = entries.map((entry) => ({ entry, key: name(entry) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { entry, key } of sorted) {
    if (folder === '' && entry.name === WRITING) continue;
    if (entry.isDirectory()) {
      const within = key.startsWith(prefix) || prefix.startsWith(key);
      const after = key > cursor || cursor.startsWith(key);
      if (within && after) yield* walk(root, key, prefix, cursor);
    } else if (entry.isFile() && key.startsWith(prefix) && key > cursor) {
      yield key;
    }
  }
}

/** Reads a file in pieces, and closes it at its end. */
function pieces(file: FileHandle, start: number, end: number): ReadableStream<Uint8Array> {
  let at = start;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await read(file, at, Math.min(at + PIECE, end));
          at += piece.length;
          if (piece.length === 0) throw new Error('the file became shorter while it was read');
          controller.enqueue(piece);
          if (at < end) return;
          await file.close();
          controller.close();
        } catch (error) {
          await file.close();
          controller.error(error);
        }
      },
      cancel: () => file.close(),
    },
    { highWaterMark: 0 },
  );
}

async function read(file: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function write(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

/** Each put makes a new file, so its number and time tell one content from another. */
function etagOf(stats: Stats): string {
  return [stats.ino, stats.size, Math.round(stats.mtimeMs * 1000)].map((part) => part.toString(16)).join('-');
}

/** Takes the error of a file that is not there for `undefined`. */
function none(error: unknown): undefined {
  if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(codeOf(error))) return undefined;
  throw error;
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code);
}
