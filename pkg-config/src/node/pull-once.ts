import { stat } from 'node:fs/promises';
import path from 'node:path';
import { checkModel } from '../calls/check.js';
import { ifThere } from './disk.js';
import { type Lock, readLock, sha256 } from './lock.js';
import { folderOf, type Pulled, type PullOptions, pull } from './pull.js';

type Options = Omit<PullOptions, 'commit' | 'vocabulary' | 'dimensions' | 'pairs'>;

/**
 * Pulls a model unless its folder has it already, which returns undefined. Where the folder has a lock file, files that are missing or
 * altered are made anew from the lock file's commit, not from the newest one. `thorough` compares digests and not only lengths.
 */
export async function pullOnce(options: Options, thorough: boolean): Promise<Pulled | undefined> {
  checkModel(options.model, options);
  const folder = folderOf(options);
  // A lock file that cannot be read is replaced.
  const lock = await readLock(folder).catch(() => undefined);
  if (lock && (await isWhole(folder, lock, options, thorough))) return undefined;
  const commit = lock?.commit;
  return pull({ ...options, ...(commit && { commit }) });
}

/** Whether a folder has what a lock file lists of a model in this dtype and with these layers. */
async function isWhole(
  folder: string,
  { files }: Lock,
  { dtype, layers }: Options,
  thorough: boolean,
): Promise<boolean> {
  const [begin, end] = [`pilotlight-${dtype}`, '.safetensors'];
  const part = layers === undefined ? '' : `-layers${layers}`;
  const isPacked = (file: string) => file.startsWith('pilotlight-') && file.endsWith(end);
  const isOurs = (file: string) =>
    file.startsWith(begin + part) && (part ? file[begin.length + part.length] === '.' : !/-layers\d/.test(file));
  const needed = Object.entries(files).filter(([file]) => !isPacked(file) || isOurs(file));
  if (!needed.some(([file]) => isPacked(file))) return false;
  for (const [file, { size, sha256: digest }] of needed) {
    const full = path.join(folder, file);
    const there = await ifThere(stat(full));
    if (there?.size !== size || (thorough && (await sha256(full)) !== digest)) return false;
  }
  return true;
}
