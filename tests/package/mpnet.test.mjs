// The real all-mpnet-base-v2, from its f32 safetensors: how well cosines rank the STS benchmark, against PyTorch with the same weights.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { FIGURES, skipWithout } from '../data.mjs';
import { PAIRS, readPairs, spearmanOf } from '../sts.mjs';
import { ROOT } from './support/models.mjs';

const MPNET = process.env.PILOTLIGHT_MPNET ?? path.join(ROOT, '.models/all-mpnet-base-v2');
const FILES = [
  'config.json',
  'modules.json',
  '1_Pooling/config.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
];
/** The correlation of PyTorch 2.15 and `transformers` 5.23 in f32: means of the tokens' states, normalized, as sentence-transformers does. */
const PYTORCH = 0.834219;

const skip =
  (!FIGURES && 'only in `make figures`') ||
  skipWithout(PAIRS) ||
  (!existsSync(path.join(MPNET, 'model.safetensors')) && `there is no ${MPNET}: \`make mpnet\` fetches it`);

for (const [dtype, most] of Object.entries({ q8: 0.005, f32: 0.001 })) {
  test(`all-mpnet-base-v2 in ${dtype} ranks the STS benchmark as PyTorch does, within ${most}`, { skip }, async (t) => {
    const pairs = await readPairs();
    const read = FILES.map(async (name) => [name, new Uint8Array(await readFile(path.join(MPNET, name)))]);
    const embedder = await TextEmbedder.load('sentence-transformers/all-mpnet-base-v2', {
      dtype,
      files: Object.fromEntries(await Promise.all(read)),
      store: false,
    });
    const texts = [...new Set(pairs.flatMap((pair) => pair.texts))];
    const vectors = new Map();
    for (let first = 0; first < texts.length; first += 64) {
      const list = texts.slice(first, first + 64);
      const { data, dims } = await embedder.embed(list);
      list.forEach((text, i) => {
        vectors.set(text, data.slice(i * dims[1], (i + 1) * dims[1]));
      });
    }
    embedder.dispose();
    const rho = spearmanOf(pairs, vectors);
    t.diagnostic(`Spearman ${rho.toFixed(4)}, PyTorch ${PYTORCH.toFixed(4)}`);
    assert.ok(Math.abs(rho - PYTORCH) < most, `Spearman ${rho}`);
  });
}
