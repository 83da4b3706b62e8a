/** Files of a model in a place of the deployment: a bucket, a folder, or what else has the methods of `Blobs`. */
import type { FileSource } from 'pilotlight';
import { pagesOf } from '../../blobs.ts';
import type { Blobs, StoredBlob } from '../../host.ts';

/** A place that files are read from. One that cannot list its objects needs the lock file of `pilotlight pull`. */
export type Place = Pick<Blobs, 'get'> & Partial<Pick<Blobs, 'list'>>;

/** The list of a repository's files with their digests, which `pilotlight pull` writes. */
const LOCK = 'pilotlight-lock.json';

/** The start of the names of packed weights. */
const PACKED = 'pilotlight-';

/** Files that a load may need and that are small; the names of a model's others end in what `WEIGHTS` says. */
const SMALL = /\.(json|txt)$/;
const WEIGHTS = /\.(safetensors|gguf|bin|onnx)$/;

/** Files that belong to a repository and that no load reads. */
const UNREAD = /(^|\/)(README|data_config|train|eval|\.)[^/]*$|^(onnx|openvino|coreml|resolve)\//;

/** Names of checkpoints, whole or in shards; a GGUF or ONNX file may have any name. */
const CHECKPOINTS = [/^model(-\d+-of-\d+)?\.safetensors$/, /^pytorch_model(-\d+-of-\d+)?\.bin$/, /\.gguf$/, /\.onnx$/];

/** The bytes of a file that are read at a time: fewer make more requests to a bucket. */
const PIECE = 4 << 20;

export interface ModelFiles {
  files: Record<string, FileSource>;
  /** Lets go of what was opened and not read. */
  close(): Promise<void>;
}

/** The files at a prefix. */
export interface Listing {
  /** Changes with the files. */
  version: string;
  /** The bytes of each. */
  sizes: Map<string, number>;
  /** The bytes of the lock file, where there is one. */
  lock?: Uint8Array;
}

/** Looks which files of a model are at a prefix; `undefined` where there are none. */
export async function lookAt(place: Place, prefix: string): Promise<Listing | undefined> {
  const lock = await place.get(prefix + LOCK);
  if (lock) {
    const bytes = await bytesOf(lock);
    const { files = {} } = JSON.parse(new TextDecoder().decode(bytes)) as { files?: Record<string, { size: number }> };
    const sizes = new Map(Object.entries(files).map(([file, { size }]) => [file, size]));
    return { version: lock.etag, sizes, lock: bytes };
  }
  const sizes = await listed(place, prefix);
  // A place may have folders of other revisions and models below this one.
  const weights = [...sizes.keys()].filter((file) => WEIGHTS.test(file) && !file.includes('/')).sort();
  if (weights.length === 0) return undefined;
  const etags = await Promise.all(
    weights.map(async (file) => {
      const object = await place.get(prefix + file, { offset: 0, length: 1 });
      await object?.body.cancel();
      return `${file} ${object?.etag}`;
    }),
  );
  return { version: etags.join(', '), sizes };
}

export interface Wanted {
  dtype: string;
  weights?: string | undefined;
  /** Whether the files are read more than once. */
  again: boolean;
  /** For a model of two towers, the one that is wanted. */
  tower?: 'text' | 'image' | undefined;
  /** The result of `lookAt`, where it is known. */
  listing?: Listing | undefined;
}

/** The bytes of the weights where they are packed, which is what they take in memory; `undefined` where they are packed on arrival. */
export function packedBytes(
  { sizes }: Listing,
  wanted: Pick<Wanted, 'dtype' | 'weights' | 'tower'>,
): number | undefined {
  const chosen = weightsOf([...sizes.keys()], wanted);
  if (chosen.length === 0 || !chosen.every((file) => file.startsWith(PACKED))) return undefined;
  return chosen.reduce((sum, file) => sum + (sizes.get(file) ?? 0), 0);
}

/**
 * The files of a model. Small ones are read at once, and the weights while they are loaded. With `again` they can be read several times, by
 * ranges; without it the weights are one stream, which is faster from a bucket.
 */
export async function openFiles(place: Place, prefix: string, wanted: Wanted): Promise<ModelFiles> {
  const listing = wanted.listing ?? (await lookAt(place, prefix));
  if (!listing) throw new Error(`no files of a model at ${prefix}`);
  const { sizes, lock } = listing;
  const names = [...sizes.keys()];
  const chosen = weightsOf(names, wanted);
  const files: Record<string, FileSource> = lock ? { [LOCK]: lock } : {};
  const streams: StoredBlob[] = [];
  const open = async (file: string): Promise<void> => {
    const isSmall = SMALL.test(file) && !chosen.includes(file);
    const isStream = !wanted.again && chosen.length === 1 && chosen[0] === file;
    if (!isSmall && !isStream) {
      files[file] = rangeFile(place, prefix + file, sizes.get(file) ?? 0);
      return;
    }
    const object = await place.get(prefix + file);
    // A lock file lists every file of the repository, of which small ones may have been left out.
    if (!object && !isSmall) throw new Error(`no ${file} at ${prefix}, which its lock file names`);
    if (!object) return;
    if (isSmall) files[file] = await bytesOf(object);
    else {
      streams.push(object);
      files[file] = bodyOf(object);
    }
  };
  await Promise.all(names.filter((file) => chosen.includes(file) || isOf(file, names)).map(open));
  return {
    files,
    async close() {
      for (const { body } of streams) if (!body.locked) await body.cancel().catch(() => {});
    },
  };
}

const bytesOf = async ({ body }: StoredBlob): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(body).arrayBuffer());

/** Whether a load may need a file that is not among the chosen weights. */
function isOf(file: string, names: readonly string[]): boolean {
  // A tokenizer.json has all that a vocabulary has.
  if (file === 'vocab.txt' && names.includes('tokenizer.json')) return false;
  if (file === LOCK) return false;
  if (SMALL.test(file)) return !UNREAD.test(file);
  // Modules after the encoder have weights of their own in folders, such as 2_Dense.
  return /^\d+_\w+\/[^/]+\.safetensors$/.test(file);
}

/** The files that the weights are read from, in the package's own order of preference. */
function weightsOf(
  names: readonly string[],
  { dtype, weights: given, tower }: Pick<Wanted, 'dtype' | 'weights' | 'tower'>,
): string[] {
  const top = names.filter((file) => WEIGHTS.test(file) && !/^\d+_|^resolve\//.test(file));
  if (given !== undefined && top.includes(given)) return [given];
  const kind = given === 'pytorch' ? 'bin' : given;
  if (kind !== undefined && kind !== 'auto') return top.filter((file) => file.endsWith(`.${kind}`));
  const packed = PACKED + dtype;
  if (top.includes(`${packed}.safetensors`)) return [`${packed}.safetensors`];
  // Shards, or the towers of CLIP.
  const parts = top.filter((file) => file.startsWith(`${packed}-`));
  const own = parts.filter((file) => file.startsWith(`${packed}-${tower}`));
  if (own.length > 0) return own;
  if (parts.length > 0) return parts;
  for (const kind of CHECKPOINTS) {
    const some = top.filter((file) => kind.test(file));
    if (some.length > 0) return some;
  }
  return [];
}

async function listed(place: Place, prefix: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const { list } = place;
  if (!list) return sizes;
  for await (const objects of pagesOf({ list: list.bind(place) }, prefix)) {
    for (const { key, size } of objects) sizes.set(key.slice(prefix.length), size);
  }
  return sizes;
}

/** A file as a stream, in the form that the package takes an object of a bucket in. */
const bodyOf = ({ body, size }: StoredBlob): FileSource => ({ body, size }) as unknown as FileSource;

/** A file that is read by ranges, in the form of a `Blob`. */
function rangeFile(place: Place, key: string, size: number): FileSource {
  const part = (from: number, to: number): Pick<Blob, 'size' | 'arrayBuffer' | 'slice'> => ({
    size: to - from,
    slice: (start = 0, end = to - from) => part(from + start, Math.min(from + end, to)) as Blob,
    arrayBuffer: () => read(place, key, from, to),
  });
  return part(0, size) as Blob;
}

async function read(place: Place, key: string, from: number, to: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(to - from);
  for (let at = from; at < to; at += PIECE) {
    const length = Math.min(PIECE, to - at);
    const object = await place.get(key, { offset: at, length });
    const piece = object && (await bytesOf(object));
    if (piece?.length !== length) throw new Error(`${key} has changed while it was read`);
    bytes.set(piece, at - from);
  }
  return bytes.buffer;
}
