import { type FileHandle, open, rename } from 'node:fs/promises';
import { PilotlightError } from '../error.js';
import { refused } from './tokenizer-json.js';

/** A tensor in the header of a safetensors file. */
interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [start: number, end: number];
}

/** A packed file that is open, with its header. */
export interface Packed {
  handle: FileHandle;
  metadata: Record<string, string>;
  tensors: Map<string, Entry>;
  /** The byte at which the tensors begin. */
  data: number;
}

/** The ends of the names that tables of word embeddings have, by the architectures. */
const TABLE =
  /^(?:.*\.)?(?:word_embeddings\.weight|tok_embeddings\.weight|embed_tokens\.weight|embedding\.weight|embeddings)$/;

/** The beginning of the metadata key for the shape of a tensor of any size. */
const SHAPE = 'pilotlight.shape.';

/** Bytes that are read at a time. */
const PIECE = 8 << 20;

export async function openPacked(file: string): Promise<Packed> {
  const handle = await open(file);
  try {
    const length = Number((await read(handle, 0, 8)).readBigUInt64LE());
    const header = JSON.parse((await read(handle, 8, length)).toString('utf8'));
    const { __metadata__: metadata = {}, ...tensors } = header;
    return { handle, metadata, tensors: new Map(Object.entries(tensors as Record<string, Entry>)), data: 8 + length };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function read(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
  if (bytesRead < length) throw new PilotlightError('INTEGRITY', `the packed file ends at byte ${start + bytesRead}`);
  return buffer;
}

/** Finds the table of word embeddings. @throws {PilotlightError} `UNSUPPORTED_MODEL` where its rows cannot be cut */
export function tableOf({ tensors }: Packed): string {
  const [table, ...more] = [...tensors.keys()].filter((name) => TABLE.test(name));
  if (table === undefined || more.length > 0)
    throw refused(`${more.length + (table ? 1 : 0)} of its tensors are named as the table of word embeddings is`);
  if (tensors.has(`${table}_sums`) || tensors.has(`${table}_smooth`))
    throw refused(`its table '${table}' is also the head of a decoder, and not kept row by row`);
  return table;
}

/** The number of token ids that a packed model knows. */
export function idsOf({ tensors }: Packed, table: string): number {
  const rows = ['mapping', 'weights'].map((name) => tensors.get(name)?.shape[0]).filter((n) => n !== undefined);
  return rows.length > 0 ? Math.min(...rows) : (tensors.get(table)?.shape[0] ?? 0);
}

/** Writes a packed file anew with only the rows of these token ids, and closes it. The file is replaced when the new one is complete. */
export async function cutRows(file: string, packed: Packed, table: string, ids: number[]): Promise<void> {
  const { handle, metadata, tensors, data } = packed;
  const target = `${file}.cut`;
  let to: FileHandle | undefined;
  try {
    const { rows, mapping } = await rowsOf(packed, ids);
    const kept = new Map<string, number[]>([
      [table, rows],
      [`${table}_scale`, rows],
    ]);
    for (const name of ['mapping', 'weights']) kept.set(name, ids);
    const head: Record<string, unknown> = {};
    let start = 0;
    for (const [name, { dtype, shape, data_offsets }] of tensors) {
      const only = kept.get(name);
      const [first = 1, ...rest] = shape;
      const bytes = data_offsets[1] - data_offsets[0];
      const end = start + (only ? (bytes / first) * only.length : bytes);
      head[name] = { dtype, shape: only ? [only.length, ...rest] : shape, data_offsets: [start, end] };
      start = end;
    }
    const described = Object.entries(metadata).map(([key, value]) => {
      const only = key.startsWith(SHAPE) ? kept.get(key.slice(SHAPE.length)) : undefined;
      return [key, only ? JSON.stringify([only.length, ...(JSON.parse(value) as number[]).slice(1)]) : value];
    });
    const json = Buffer.from(JSON.stringify({ __metadata__: Object.fromEntries(described), ...head }));
    // The format recommends that tensors begin at a multiple of eight bytes.
    const padded = Buffer.concat([json, Buffer.alloc(-json.length & 7, ' ')]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(padded.length));
    to = await open(target, 'wx');
    await to.writeFile(length);
    await to.writeFile(padded);
    for (const [name, { shape, data_offsets }] of tensors) {
      const [from, end] = data_offsets.map((offset) => data + offset) as [number, number];
      if (name === 'mapping' && mapping) await to.writeFile(mapping);
      else await copy(handle, to, from, end, kept.get(name), shape[0] ?? 1);
    }
    await to.sync();
  } finally {
    await to?.close();
    await handle.close();
  }
  await rename(target, file);
}

/** The rows of the table that the ids need, and for a model that maps ids to rows, the bytes of the new mapping. */
async function rowsOf({ handle, tensors, data }: Packed, ids: number[]): Promise<{ rows: number[]; mapping?: Buffer }> {
  const mapped = tensors.get('mapping');
  if (!mapped) return { rows: ids };
  const [start, end] = mapped.data_offsets;
  const old = await read(handle, data + start, end - start);
  const of = ids.map((id) => old.readFloatLE(id * 4));
  const rows = [...new Set(of)].sort((a, b) => a - b);
  const places = new Map(rows.map((row, place) => [row, place]));
  const mapping = Buffer.alloc(of.length * 4);
  for (const [index, row] of of.entries()) mapping.writeFloatLE(places.get(row) ?? 0, index * 4);
  return { rows, mapping };
}

/** Copies the bytes from `start` to before `end`; of `count` rows only those in `only`, if it is given. */
async function copy(
  from: FileHandle,
  to: FileHandle,
  start: number,
  end: number,
  only: number[] | undefined,
  count: number,
): Promise<void> {
  const row = (end - start) / count;
  // Whole rows are read at a time.
  const step = only ? Math.max(1, Math.floor(PIECE / row)) * row : PIECE;
  let next = 0;
  for (let at = start; at < end; at += step) {
    const bytes = await read(from, at, Math.min(step, end - at));
    if (!only) {
      await to.writeFile(bytes);
      continue;
    }
    const parts: Buffer[] = [];
    for (; next < only.length; next++) {
      const offset = start + (only[next] ?? 0) * row - at;
      if (offset >= bytes.length) break;
      parts.push(bytes.subarray(offset, offset + row));
    }
    await to.writeFile(Buffer.concat(parts));
  }
}
