// CLIP's own tokenizer with 49,408 words, through the package: what it counts and where it cuts. The ids themselves are compared in
// src/text/tokenizer.rs, because no call returns them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ImageTextEmbedder } from 'pilotlight';
import { DATA, skipWithout } from '../data.mjs';
import { rowsOf, seededClip } from './support/clip.mjs';
import { ROOT } from './support/models.mjs';

const GOLDENS = path.join(ROOT, 'tests/goldens/clip-tokenizer');
const TOKENIZER = path.join(DATA, 'clip/tokenizer.json');
const [BEGIN, END] = [49406, 49407];

/** The first field of each record. */
function firstFields(csv) {
  // A field in quotes may have commas, line breaks and doubled quotes.
  const records = csv.matchAll(/^(?:"((?:[^"]|"")*)"|([^,\r\n]*))(?:,(?:"(?:[^"]|"")*"|[^,\r\n]*))*\r?\n/gm);
  return Array.from(records, ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
}

/** The texts that ids.bin is of, and their ids. */
function captions() {
  const manifest = JSON.parse(readFileSync(path.join(DATA, 'photos/manifest.json'), 'utf8'));
  const sentences = ['test', 'dev'].flatMap((part) =>
    firstFields(readFileSync(path.join(DATA, `sts/stsb-en-${part}.csv`), 'utf8')),
  );
  const texts = [...manifest.flatMap((photo) => photo.captions), ...sentences].slice(0, 2000);
  const packed = readFileSync(path.join(GOLDENS, 'ids.bin'));
  const numbers = new Uint16Array(packed.buffer.slice(packed.byteOffset, packed.byteOffset + packed.length));
  const ids = [];
  for (let at = 0; at < numbers.length; at += numbers[at] + 1)
    ids.push([...numbers.subarray(at + 1, at + 1 + numbers[at])]);
  assert.equal(ids.length, texts.length);
  return { texts, ids };
}

describe("with CLIP's own tokenizer", {
  skip: skipWithout('clip/tokenizer.json', 'photos/manifest.json', 'sts/stsb-en-test.csv'),
}, () => {
  let embedder;
  before(async () => {
    // A model of one narrow layer: its vectors have no meaning, but differ for other ids.
    const files = {
      ...seededClip({ text: { vocab_size: 49408, hidden_size: 8 } }),
      'tokenizer.json': readFileSync(TOKENIZER),
    };
    embedder = await ImageTextEmbedder.load('test/words', { files, dtype: 'f32', towers: ['text'] });
    assert.equal(embedder.maxTokens, 77);
  });
  after(() => embedder.dispose());

  test('2,000 captions have as many tokens as transformers counts, and same ids give the same vector', async (t) => {
    const { texts, ids } = captions();
    assert.equal(texts.length, 2000);
    const result = await embedder.embedTexts(texts);
    assert.deepEqual(
      result.tokens,
      ids.map(({ length }) => length),
    );
    assert.deepEqual(
      result.truncated,
      ids.map(() => false),
    );
    const rows = rowsOf(result).map(String);
    const byIds = new Map();
    for (const [i, row] of rows.entries()) {
      const key = ids[i].join();
      assert.equal(byIds.get(key) ?? row, row, texts[i]);
      byIds.set(key, row);
    }
    t.diagnostic(`${byIds.size} different sequences of ids, ${new Set(rows).size} different vectors`);
    assert.equal(new Set(rows).size, byIds.size);
  });

  test('odd texts have as many tokens as transformers counts, and are cut where it cuts', async () => {
    const { cases, limit } = JSON.parse(readFileSync(path.join(GOLDENS, 'odd.json'), 'utf8'));
    assert.equal(limit, embedder.maxTokens);
    const result = await embedder.embedTexts(cases.map(({ text }) => text));
    for (const [i, { text, ids, truncated }] of cases.entries()) {
      assert.deepEqual([ids[0], ids.at(-1)], [BEGIN, END]);
      assert.equal(result.tokens[i], ids.length, JSON.stringify(text));
      assert.equal(result.truncated[i], truncated, JSON.stringify(text));
    }
    // Equal ids up to the first end give equal vectors, whatever the text; others give others.
    const rows = rowsOf(result).map(String);
    const keys = cases.map(({ ids }) => ids.slice(0, ids.indexOf(END) + 1).join());
    for (const [i, key] of keys.entries()) {
      for (const [j, other] of keys.entries())
        assert.equal(rows[i] === rows[j], key === other, JSON.stringify([cases[i].text, cases[j].text]));
    }
  });

  test('case, composed accents and blanks around make no difference, and what is cut off none either', async () => {
    const alike = async (...texts) => {
      const rows = rowsOf(await embedder.embedTexts(texts)).map(String);
      assert.equal(new Set(rows).size, 1, JSON.stringify(texts.map((text) => text.slice(0, 40))));
    };
    await alike('a cat on the stairs', 'A CAT ON THE STAIRS', '  a cat\n on   the\tstairs ');
    await alike('café', 'cafe\u0301', 'CAFÉ');
    await alike(
      'flame '.repeat(75),
      'flame '.repeat(76),
      `${'flame '.repeat(75)}and a sentence more`,
      'flame '.repeat(200_000),
    );
    await alike('half a \ud83d pair', 'half a \ufffd pair');
  });

  test('texts of a megabyte are cut quickly', async () => {
    const begun = performance.now();
    const { tokens, truncated } = await embedder.embedTexts([
      'a, '.repeat(350_000),
      'x'.repeat(1 << 20),
      '\u{1f525}'.repeat(1 << 18),
      ' '.repeat(1 << 20),
    ]);
    assert.deepEqual(truncated, [true, true, true, false]);
    assert.deepEqual(tokens, [77, 77, 77, 2]);
    assert.ok(performance.now() - begun < 10_000, `${performance.now() - begun} ms`);
  });
});
