import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifThere } from './disk.js';
import { LOCK, type LockedFile, readLock, sha256, tensorDigests } from './lock.js';
import { WORK } from './pull.js';

/** The result for one file: as its lock file says, different, or listed by no lock file. */
export interface Finding {
  /** The path below the folder that was verified. */
  file: string;
  state: 'ok' | 'wrong' | 'unlisted';
  words: string;
}

/** Checks every file that the lock files below a folder list. Without a finding there is no lock file. */
export async function* verify(root: string): AsyncGenerator<Finding> {
  const files = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .filter((file) => file !== WORK && !file.startsWith(`${WORK}/`))
    .sort();
  const folders = files.filter((file) => path.posix.basename(file) === LOCK).map((file) => path.posix.dirname(file));
  for (const folder of folders) {
    yield* verifyFolder(
      root,
      folder,
      files.filter((file) => nearest(folders, file) === folder),
    );
  }
}

/** The innermost of `folders` that a file is in: where lock files are nested, each is responsible for the files nearest to it. */
function nearest(folders: string[], file: string): string | undefined {
  let folder = path.posix.dirname(file);
  while (!folders.includes(folder) && folder !== '.') folder = path.posix.dirname(folder);
  return folders.includes(folder) ? folder : undefined;
}

async function* verifyFolder(root: string, folder: string, files: string[]): AsyncGenerator<Finding> {
  const lockFile = path.posix.join(folder, LOCK);
  let listed: Record<string, LockedFile>;
  try {
    listed = (await readLock(path.join(root, folder)))?.files ?? {};
  } catch (error) {
    yield { file: lockFile, state: 'wrong', words: (error as Error).message };
    return;
  }
  for (const [name, locked] of Object.entries(listed)) {
    const file = path.posix.join(folder, name);
    const words = await problemOf(path.join(root, file), locked);
    yield words === undefined ? { file, state: 'ok', words: `${locked.size} bytes` } : { file, state: 'wrong', words };
  }
  for (const file of files) {
    const known = file === lockFile || path.posix.relative(folder, file) in listed;
    if (!known) yield { file, state: 'unlisted', words: `is not in ${lockFile}` };
  }
}

/** A phrase for people that says how a file differs from its lock file; `undefined` where it does not. */
async function problemOf(
  file: string,
  { size, sha256: digest, tensors = {} }: LockedFile,
): Promise<string | undefined> {
  const found = await ifThere(stat(file));
  if (!found?.isFile()) return 'is missing';
  if (found.size !== size) return `has ${found.size} bytes instead of ${size}`;
  const actual = await sha256(file);
  const altered = await alteredTensors(file, size, tensors);
  if (actual === digest && altered === undefined) return undefined;
  const whole = actual === digest ? 'has the right sha256' : `has the sha256 ${actual} instead of ${digest}`;
  return altered === undefined ? whole : `${whole}; ${altered}`;
}

/** Names the tensors of a safetensors file that differ; `undefined` where none does. */
async function alteredTensors(
  file: string,
  size: number,
  tensors: Record<string, string>,
): Promise<string | undefined> {
  const names = Object.keys(tensors);
  if (names.length === 0) return undefined;
  try {
    const found = await tensorDigests(file, size);
    const altered = names.filter((name) => found[name] !== tensors[name]);
    return altered.length === 0
      ? undefined
      : `other bytes in ${altered.slice(0, 3).join(', ')}${altered.length > 3 ? ` and ${altered.length - 3} more` : ''}`;
  } catch (error) {
    return `its header cannot be read (${(error as Error).message})`;
  }
}
