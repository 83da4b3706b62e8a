/** Likelihoods of texts that were read already, kept by the digest of the text. */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const digestOf = (text) => createHash('sha256').update(text).digest('hex');

const LISTS = {
  starts: Uint32Array,
  logProbabilities: Float32Array,
  entropies: Float32Array,
  variances: Float32Array,
  ranks: Uint32Array,
};

const encode = (list) => Buffer.from(list.buffer, list.byteOffset, list.byteLength).toString('base64');
const decode = (text, List) => {
  const bytes = Buffer.from(text, 'base64');
  return new List(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
};

/** Appends the likelihoods of a text to a file; a line that a stopped process has cut is left out by `readCache`. */
export function append(file, text, likelihoods) {
  mkdirSync(path.dirname(file), { recursive: true });
  const lists = Object.fromEntries(Object.keys(LISTS).map((name) => [name, encode(likelihoods[name])]));
  appendFileSync(file, `${JSON.stringify({ digest: digestOf(text), ...lists })}\n`);
}

/** Reads all files of a folder: likelihoods by the digest of the text. */
export function readCache(folder) {
  const known = new Map();
  if (!existsSync(folder)) return known;
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.jsonl')) continue;
    for (const line of readFileSync(path.join(folder, name), 'utf8').split('\n')) {
      if (!line.endsWith('}')) continue;
      const { digest, ...lists } = JSON.parse(line);
      known.set(digest, () => ({
        ...Object.fromEntries(Object.entries(LISTS).map(([list, List]) => [list, decode(lists[list], List)])),
        truncated: false,
      }));
    }
  }
  return known;
}

/** A decoder that knows what was read before, for the package's readers. */
export function cachedDecoder(known) {
  return {
    likelihoods: async (texts) =>
      texts.map((text) => {
        const one = known.get(digestOf(text));
        if (!one) throw new Error(`no likelihoods are kept of '${text.slice(0, 60)}': features.mjs reads them`);
        return one();
      }),
  };
}
