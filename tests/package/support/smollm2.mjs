// The real SmolLM2, and the texts of which PyTorch's answers are known; tests/goldens/decoder/smollm2.py chose them.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Decoder } from 'pilotlight';
import { DATA } from '../../data.mjs';
import { decoderGolden } from './decoders.mjs';
import { SMOLLM2 } from './models.mjs';

export const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';

/** The file's bytes; `make smollm2` fetches it. */
export const readModel = () => new Uint8Array(readFileSync(path.join(SMOLLM2, FILE)));

export const loadSmolLM2 = (options) =>
  Decoder.load('test/own', { files: { [FILE]: readModel() }, device: 'cpu', store: false, ...options });

export const GOLDEN = decoderGolden('smollm2');

/** The files of PILOTLIGHT_DATA that have the texts. */
export const FILES = [...new Set(GOLDEN.cases.map(({ file }) => file))];

/** The replacements of `clean` in smollm2.py, in this order. */
const REPLACED = Object.entries({
  '\u2018': "'",
  '\u2019': "'",
  '\u201c': '"',
  '\u201d': '"',
  '\u2013': '-',
  '\u2014': '-',
  '\u2026': '...',
  '``': '"',
  "''": '"',
  '\u00a0': ' ',
});

/** The texts of all cases, checked by their digests. */
export function readTexts() {
  const json = Object.fromEntries(FILES.map((file) => [file, JSON.parse(readFileSync(path.join(DATA, file), 'utf8'))]));
  return GOLDEN.cases.map(({ file, list, index, skip, words, sha256 }) => {
    const raw = (list ? json[file][list] : json[file])[index];
    const cleaned = REPLACED.reduce((text, [old, other]) => text.replaceAll(old, other), raw);
    const text = cleaned
      .trim()
      .split(/\s+/)
      .slice(skip, skip + words)
      .join(' ');
    const digest = createHash('sha256').update(text).digest('hex');
    if (digest !== sha256) throw new Error(`${file}, text ${index}: its digest is ${digest}, expected ${sha256}`);
    return text;
  });
}
