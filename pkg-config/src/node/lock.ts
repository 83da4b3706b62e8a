import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifThere } from './disk.js';

/** The name of the lock file in a folder that `pull` wrote. `src/hub/lock_file.rs` reads it where the host cannot list files. */
export const LOCK = 'pilotlight-lock.json';

export interface LockedFile {
  size: number;
  sha256: string;
  /** The SHA-256 of each tensor's bytes, for a safetensors file. */
  tensors?: Record<string, string>;
  /** The origin of packed weights; absent in lock files of earlier versions. */
  from?: Origin;
}

/** The options that decide which weights were packed, whatever the commit. */
export interface Origin {
  host: string;
  weights?: string;
  lossy?: true;
}

/** Whether a file has packed weights. */
export const isPacked = (file: string): boolean => file.startsWith('pilotlight-') && file.endsWith('.safetensors');

export interface Lock {
  version: 1;
  commit: string | null;
  /** The files by path, relative to the lock file's folder, with slashes. */
  files: Record<string, LockedFile>;
}

/** Reads the lock file of a folder; `undefined` where there is none. @throws {Error} where it is no valid lock file */
export async function readLock(folder: string): Promise<Lock | undefined> {
  const text = await ifThere(readFile(path.join(folder, LOCK), 'utf8'));
  if (text === undefined) return undefined;
  const lock = JSON.parse(text) as Lock | null;
  if (lock?.version !== 1 || typeof lock.files !== 'object' || lock.files === null)
    throw new Error('it is no lock file of version 1');
  for (const [file, locked] of Object.entries(lock.files)) {
    // `pull` replaces and removes the files that it lists, so no path in it may lead out of the folder.
    if (file.split(/[/\\]/).some((part) => part === '' || part === '.' || part === '..'))
      throw new Error(`it lists '${file}', which is no path inside its folder`);
    if (typeof locked?.size !== 'number' || typeof locked.sha256 !== 'string')
      throw new Error(`it has no size or no sha256 of '${file}'`);
  }
  return lock;
}

/** Makes the entry of a file in a lock file. */
export async function describe(file: string): Promise<LockedFile> {
  const [{ size }, digest] = await Promise.all([stat(file), sha256(file)]);
  return { size, sha256: digest, ...(file.endsWith('.safetensors') && { tensors: await tensorDigests(file, size) }) };
}

/** The SHA-256 of a file, or of its bytes from `start` to before `end`. */
export async function sha256(file: string, start = 0, end = Infinity): Promise<string> {
  const hash = createHash('sha256');
  if (start < end)
    for await (const piece of createReadStream(file, { start, end: end - 1 })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** The SHA-256 of each tensor of a safetensors file, which has 8 bytes with the header's length, the header in JSON, and the tensors. */
export async function tensorDigests(file: string, size: number): Promise<Record<string, string>> {
  const handle = await open(file);
  let header: Record<string, { data_offsets: [number, number] }>;
  let data: number;
  try {
    const { buffer } = await handle.read(Buffer.alloc(8), 0, 8, 0);
    data = 8 + Number(buffer.readBigUInt64LE());
    if (data > size) throw new Error(`the header claims ${data - 8} bytes, but the file has ${size}`);
    const json = await handle.read(Buffer.alloc(data - 8), 0, data - 8, 8);
    header = JSON.parse(json.buffer.toString('utf8'));
  } finally {
    await handle.close();
  }
  const digests: Record<string, string> = {};
  for (const [name, { data_offsets }] of Object.entries(header)) {
    if (name !== '__metadata__') digests[name] = await sha256(file, data + data_offsets[0], data + data_offsets[1]);
  }
  return digests;
}
