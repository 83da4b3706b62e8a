import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type * as Api from '../../types/node.js';
import { ifThere, isCode, syncFolder, writeThrough } from './disk.js';

/** The names of files with a value. A hash is a valid name on every system, whatever the key's characters and length. */
const NAME = /^[0-9a-f]{64}$/;

/** The suffix of files that are being written, or were left by a process that died while it wrote. */
const UNFINISHED = '.part';

/** The age in milliseconds from which an unfinished file counts as left behind: no `put` takes an hour. */
const ABANDONED = 3_600_000;

/** The number of files that are open at a time. */
const LANES = 64;

/**
 * Makes a store of a folder: one file for each key, named by the key's hash. Its first line is the key, the value follows.
 * Several processes may use the folder: a file appears complete, under a name that all of them derive from the key.
 */
export const fileStore: typeof Api.fileStore = (where) => {
  if (typeof where !== 'string' || where === '') throw new TypeError('fileStore: expected the path of a folder');
  // A program may change its working directory.
  const folder = path.resolve(where);
  /** Keys by file name. A name always stands for the same key, so each file is read only once. */
  const known = new Map<string, string>();
  let tidied: Promise<void> | undefined;

  return {
    async get(key) {
      const bytes = await ifThere(readFile(path.join(folder, nameOf(key))));
      const head = headOf(key);
      // A file with another first line was not written by this store.
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
        // The loader recognizes a full store by this name.
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

/** The first line of a key's file. As JSON the key is one line, and no two keys are encoded alike, even with lone surrogates. */
function headOf(key: string): Buffer {
  return Buffer.from(`${JSON.stringify(key)}\n`);
}

function nameOf(key: string): string {
  return createHash('sha256').update(headOf(key)).digest('hex');
}

/** The key in a file's first line; `undefined` where the file has just been deleted, or has no key. */
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

/** Removes unfinished files of processes that died. Young ones are kept: another process may still be writing them. */
async function tidy(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(UNFINISHED)) continue;
    const file = path.join(folder, name);
    const found = await ifThere(stat(file));
    if (found && Date.now() - found.mtimeMs > ABANDONED) await rm(file, { force: true });
  }
}
