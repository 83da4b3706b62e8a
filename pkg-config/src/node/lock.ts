import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifThere } from './disk.js';

/** The lock file of a folder that `pull` wrote. `src/hub/lock.rs` reads it where the host cannot list. */
export const LOCK = 'pilotlight-lock.json';

export interface LockedFile {
  size: number;
  sha256: string;
  /** Of each tensor's bytes, where it is a safetensors file. */
  tensors?: Record<string, string>;
}

export interface Lock {
  version: 1;
  commit: string | null;
  /** By their paths beside the lock file, with slashes. */
  files: Record<string, LockedFile>;
}

/** The lock file of a folder; `undefined` where there is none, an error where it is something else. */
export async function readLock(folder: string): Promise<Lock | undefined> {
  const text = await ifThere(readFile(path.join(folder, LOCK), 'utf8'));
  if (text === undefined) return undefined;
  const lock = JSON.parse(text) as Lock | null;
  if (lock?.version !== 1 || typeof lock.files !== 'object' || lock.files === null)
    throw new Error('it is no lock file of version 1');
  for (const [file, locked] of Object.entries(lock.files)) {
    // What it lists gets replaced and removed, so nothing in it may lead out of the folder.
    if (file.split(/[/\\]/).some((part) => part === '' || part === '.' || part === '..'))
      throw new Error(`it lists '${file}', which is no path inside its folder`);
    if (typeof locked?.size !== 'number' || typeof locked.sha256 !== 'string')
      throw new Error(`it has no size or no sha256 of '${file}'`);
  }
  return lock;
}

/** What a lock file says of a file. */
export async function describe(file: string): Promise<LockedFile> {
  const [{ size }, digest] = await Promise.all([stat(file), sha256(file)]);
  return { size, sha256: digest, ...(file.endsWith('.safetensors') && { tensors: await tensorDigests(file, size) }) };
}

/** Of a file, or of its bytes from `start` to before `end`. */
export async function sha256(file: string, start = 0, end = Infinity): Promise<string> {
  const hash = createHash('sha256');
  if (start < end)
    for await (const piece of createReadStream(file, { start, end: end - 1 })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Of each tensor of a safetensors file: 8 bytes with the header's length, the header in JSON, the tensors. */
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
