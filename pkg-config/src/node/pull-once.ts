import { stat } from 'node:fs/promises';
import path from 'node:path';
import { checkModel } from '../calls/check.js';
import { ifThere } from './disk.js';
import { isPacked, type Lock, type Origin, readLock, sha256 } from './lock.js';
import { folderOf, originOf, type Pulled, type PullOptions, pull } from './pull.js';

type Options = Omit<PullOptions, 'commit' | 'vocabulary' | 'dimensions' | 'pairs'>;

/**
 * Pulls a model unless its folder has it already, which returns undefined. Where the folder has a lock file, files that are missing, altered
 * or made of other `weights` are made anew from the lock file's commit, not from the newest one, unless another `host` has no such commit.
 * `thorough` compares digests and not only lengths.
 */
export async function pullOnce(options: Options, thorough: boolean): Promise<Pulled | undefined> {
  checkModel(options.model, options);
  const folder = folderOf(options);
  // A lock file that cannot be read is replaced.
  const lock = await readLock(folder).catch(() => undefined);
  if (lock && (await isWhole(folder, lock, options, thorough))) return undefined;
  if (!lock?.commit) return pull(options);
  const isOtherHost = Object.values(lock.files).some(({ from }) => from && from.host !== options.host);
  try {
    return await pull({ ...options, commit: lock.commit });
  } catch (error) {
    if (isOtherHost && (error as { status?: number }).status === 404) return pull(options);
    throw error;
  }
}

/** Whether a folder has what a lock file lists of a model in this dtype, with these layers, and of these weights. */
async function isWhole(folder: string, { files }: Lock, options: Options, thorough: boolean): Promise<boolean> {
  const { dtype, layers } = options;
  const begin = `pilotlight-${dtype}`;
  const part = layers === undefined ? '' : `-layers${layers}`;
  const isOurs = (file: string) =>
    file.startsWith(begin + part) && (part ? file[begin.length + part.length] === '.' : !/-layers\d/.test(file));
  const needed = Object.entries(files).filter(([file]) => !isPacked(file) || isOurs(file));
  if (!needed.some(([file]) => isPacked(file))) return false;
  const origin = originOf(options);
  for (const [file, { size, sha256: digest, from }] of needed) {
    if (from && !isSame(from, origin)) return false;
    const full = path.join(folder, file);
    const there = await ifThere(stat(full));
    if (there?.size !== size || (thorough && (await sha256(full)) !== digest)) return false;
  }
  return true;
}

const isSame = (a: Origin, b: Origin): boolean => a.host === b.host && a.weights === b.weights && a.lossy === b.lossy;
