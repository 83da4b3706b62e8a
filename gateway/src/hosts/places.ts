/** Places of a model's files beside the bucket: static assets, KV, and modules of the script. Each needs the lock file of `pilotlight pull`. */
import { hex, streamFrom } from '../bytes.ts';
import type { BlobRange, StoredBlob } from '../host.ts';
import type { Place } from '../models/local/files.ts';
import type { Places } from '../models/sources.ts';
import { gathered } from '../parts/r2.ts';

/** The part of a binding to static assets that is used here. */
interface Assets {
  fetch(request: Request): Promise<Response>;
}

/** The part of a KV namespace that is used here. */
interface Namespace {
  get(key: string, type: 'arrayBuffer'): Promise<ArrayBuffer | null>;
}

/** The places that a Worker's bindings give: `assets:` and `kv:` in `models.jsonc`. */
export function placesOf({ ASSETS, KV }: Record<string, unknown>): Places {
  return {
    ...(ASSETS ? { assets: (path) => ({ place: assetsPlace(ASSETS as Assets), prefix: path }) } : {}),
    ...(KV ? { kv: (path) => ({ place: kvPlace(KV as Namespace), prefix: path }) } : {}),
  };
}

/** Files of the folder that is uploaded beside the script; one has 25 MiB at most. */
export function assetsPlace(assets: Assets): Place {
  return {
    async get(key, range) {
      const response = await assets.fetch(new Request(`https://assets.invalid/${key}`));
      if (!response.ok || !response.body) {
        await response.body?.cancel();
        return undefined;
      }
      const etag = (response.headers.get('etag') ?? '').replace(/^W\/|"/g, '');
      const size = Number(response.headers.get('content-length'));
      if (range || !size) return stored(await response.arrayBuffer(), range, etag);
      return { body: gathered(response.body), size, etag };
    },
  };
}

/** Values of a KV namespace; one has 25 MiB at most, and is in memory whole while it is read. */
export function kvPlace(namespace: Namespace): Place {
  return {
    async get(key, range) {
      const bytes = await namespace.get(key, 'arrayBuffer');
      return bytes ? stored(bytes, range) : undefined;
    },
  };
}

/** Modules of the script, such as `import weights from './model.safetensors'` under a rule for data. */
export function modulePlace(modules: Record<string, ArrayBuffer>): Place {
  return {
    async get(key, range) {
      const bytes = modules[key];
      return bytes && stored(bytes, range);
    },
  };
}

/** The most bytes of a file whose etag is a digest; larger ones have their size. The lock file, which identifies a model, is smaller. */
const DIGESTED = 1 << 20;

async function stored(bytes: ArrayBuffer, range: BlobRange | undefined, etag?: string): Promise<StoredBlob> {
  const part = range ? bytes.slice(range.offset, range.offset + range.length) : bytes;
  return {
    body: streamFrom(pieces(new Uint8Array(part))),
    size: bytes.byteLength,
    etag: etag ?? (await digestOf(bytes)),
  };
}

async function digestOf(bytes: ArrayBuffer): Promise<string> {
  if (bytes.byteLength > DIGESTED) return String(bytes.byteLength);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return hex(digest.subarray(0, 16));
}

/** The bytes in pieces of 1 MiB. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.slice(at, at + (1 << 20));
}
