import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type * as Api from '../../types/node.js';
import { ifThere, isCode, syncFolder, writeThrough } from './disk.js';

/** Files with a value. A hash is a good name on every system, whatever the key has in it and however long it is. */
const NAME = /^[0-9a-f]{64}$/;

/** Values on their way, and what is left of one that a dying process wrote. */
const UNFINISHED = '.part';

/** No put takes an hour, in milliseconds. */
const ABANDONED = 3_600_000;

/** Files that are opened at a time. */
const LANES = 64;

/**
 * A folder as a store: one file for each key, named by the key's hash. Its first line is the key, the value follows.
 * Several processes may use it: a file appears whole, under a name that all of them give it.
 */
export const fileStore: typeof Api.fileStore = (where) => {
  if (typeof where !== 'string' || where === '') throw new TypeError('fileStore: expected the path of a folder');
  // A program may change its working directory.
  const folder = path.resolve(where);
  /** Keys by file name. A name stands for one key for ever, so what was read once need not be read again. */
  const known = new Map<string, string>();
  let tidied: Promise<void> | undefined;

  return {
    async get(key) {
      const bytes = await ifThere(readFile(path.join(folder, nameOf(key))));
      const head = headOf(key);
      // Anything else was put there by somebody else.
      if (!bytes?.subarray(0, head.length).equals(head)) return undefined;
      return new Uint8Array(bytes.buffer, bytes.byteOffset + head.length, bytes.length - head.length);
    },

    async put(key, bytes) {
      const file = path.join(folder, nameOf(key));
      const unfinished = `${file}.${randomUUID()}${UNFINISHED}`;
      try {
        await mkdir(folder, { recursive: true });
        tidied ??= tidy(folder).catch(() => {});
        await tidied;
        await writeThrough(unfinished, headOf(key), bytes);
        await rename(unfinished, file);
        await syncFolder(folder);
      } catch (error) {
        await rm(unfinished, { force: true }).catch(() => {});
        // By this name the loader knows that there is no room.
        if (isCode(error, 'ENOSPC', 'EDQUOT')) (error as Error).name = 'QuotaExceededError';
        throw error;
      }
    },

    async delete(key) {
      await rm(path.join(folder, nameOf(key)), { force: true });
    },

    async keys(prefix) {
      const names = ((await ifThere(readdir(folder))) ?? []).filter((name) => NAME.test(name));
      const unread = names.filter((name) => !known.has(name));
      for (let i = 0; i < unread.length; i += LANES) {
        const read = async (name: string): Promise<void> => {
          const key = await keyIn(path.join(folder, name));
          if (key !== undefined && nameOf(key) === name) known.set(name, key);
        };
        await Promise.all(unread.slice(i, i + LANES).map(read));
      }
      return names.map((name) => known.get(name)).filter((key) => key?.startsWith(prefix)) as string[];
    },
  };
};

/** As JSON the key is one line, and every string has a form of its own, half a surrogate pair too. */
function headOf(key: string): Buffer {
  return Buffer.from(`${JSON.stringify(key)}\n`);
}

function nameOf(key: string): string {
  return createHash('sha256').update(headOf(key)).digest('hex');
}

/** The key in a file's first line; `undefined` where the file has just gone, or has none. */
async function keyIn(file: string): Promise<string | undefined> {
  const handle = await ifThere(open(file));
  try {
    let head = Buffer.alloc(0);
    while (handle && !head.includes('\n')) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, head.length);
      if (bytesRead === 0) return undefined;
      head = Buffer.concat([head, buffer.subarray(0, bytesRead)]);
    }
    return handle && JSON.parse(head.toString('utf8', 0, head.indexOf('\n')));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    await handle?.close();
  }
}

/** Removes what processes left that died while they wrote. What is young may be another's that still writes. */
async function tidy(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(UNFINISHED)) continue;
    const file = path.join(folder, name);
    const found = await ifThere(stat(file));
    if (found && Date.now() - found.mtimeMs > ABANDONED) await rm(file, { force: true });
  }
}
