import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TINY } from './goldens.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

const GOLDENS = path.join(ROOT, 'tests/goldens');

/** The real weights; `make minilm` fetches them. */
export const MINILM = process.env.PILOTLIGHT_MINILM ?? path.join(ROOT, '.models/all-MiniLM-L6-v2');

/** The real SmolLM2; `make smollm2` fetches it. */
export const SMOLLM2 = process.env.PILOTLIGHT_SMOLLM2 ?? path.join(ROOT, '.models/SmolLM2-135M-Instruct-GGUF');

/** Folder of a tiny committed repository. */
export const tinyFolder = (name) => path.join(GOLDENS, name);

/** Returns PyTorch's results: `{ dimensions, max_tokens, cases: [{ text, ids, truncated, embedding }] }`. */
export const golden = (name) => JSON.parse(readFileSync(path.join(GOLDENS, name, 'expected.json'), 'utf8'));

/** All files of a repository folder by their names, as `files` and the hub take them. */
export function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries.map(({ parentPath, name }) => {
      const full = path.join(parentPath, name);
      return [path.relative(folder, full).split(path.sep).join('/'), new Uint8Array(readFileSync(full))];
    }),
  );
}

/** The lock file that `pilotlight pull` writes beside such files. */
export function lockOf(files) {
  const entries = Object.entries(files).map(([name, bytes]) => {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return [name, { size: bytes.length, sha256 }];
  });
  return new TextEncoder().encode(JSON.stringify({ version: 1, commit: null, files: Object.fromEntries(entries) }));
}

/** The models that most tests serve. */
export const HUB_MODELS = {
  'sentence-transformers/all-MiniLM-L6-v2': MINILM,
  ...Object.fromEntries(TINY.map((name) => [`test/${name}`, tinyFolder(name)])),
};
