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

/**
 * For each text the longest of all that begins with it. The texts of a human occur at several lengths, and a decoder only looks back, so that
 * the likelihoods of the shorter ones are the first of the longest. Texts end between words.
 */
export function longest(texts) {
  const sorted = [...new Set(texts)].sort((a, b) => (a < b ? -1 : 1));
  const found = new Map();
  for (let i = sorted.length - 1; i >= 0; i -= 1) {
    const next = found.get(sorted[i + 1]);
    const isWord = next?.startsWith(sorted[i]) && !/^[\p{L}\p{N}]/u.test(next.slice(sorted[i].length));
    found.set(sorted[i], isWord ? next : sorted[i]);
  }
  return found;
}

/** A decoder that knows what was read before, for the package's readers; `texts` are all that may be asked for. */
export function cachedDecoder(known, texts) {
  const whole = longest(texts);
  return {
    has: (text) => known.has(digestOf(text)) || known.has(digestOf(whole.get(text) ?? text)),
    likelihoods: async (asked) =>
      asked.map((text) => {
        const one = known.get(digestOf(text)) ?? known.get(digestOf(whole.get(text) ?? text));
        if (!one) throw new Error(`no likelihoods are kept of '${text.slice(0, 60)}': features.mjs reads them`);
        return upTo(one(), text.length);
      }),
  };
}

/** The likelihoods of the tokens that begin before an index. */
function upTo(likelihoods, end) {
  const count = likelihoods.starts.filter((start) => start < end).length;
  const lists = Object.keys(LISTS).map((name) => [name, likelihoods[name].subarray(0, count)]);
  return { ...Object.fromEntries(lists), truncated: likelihoods.truncated };
}
