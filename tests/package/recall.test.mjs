// Tests the recall of the prefilter among vectors of real sentences; the table is in benches/search.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VectorIndex } from 'pilotlight';
import { DIMENSIONS, FILES, sentenceVectors, split } from '../../benches/sentences.mjs';
import { FIGURES, skipWithout } from '../data.mjs';

/** The number of sentences: `make figures` takes 8,000, and the bench all. */
const SENTENCES = FIGURES ? 8000 : 3000;

test('of the ten nearest sentences the prefilter finds 95 %, and int8 rows 98 %', {
  skip: skipWithout(...FILES),
}, async (t) => {
  const vectors = await sentenceVectors(SENTENCES);
  const { rows, queries } = split(vectors);
  const make = async (options) => {
    const index = await VectorIndex.create({ dimensions: DIMENSIONS, ...options });
    index.add(
      rows.map((_, i) => i),
      rows,
    );
    return index;
  };
  const [float32, int8] = [await make({ precision: 'float32', prefilter: true }), await make({ prefilter: true })];
  const best = queries.map((query) => new Set(float32.search(query, 10, { exact: true }).map(({ id }) => id)));
  const recall = (search) => {
    const found = queries.map((query, i) => search(query).filter(({ id }) => best[i].has(id)).length);
    return found.reduce((sum, count) => sum + count, 0) / (10 * queries.length);
  };
  for (const [name, least, search] of [
    ['float32, prefilter', 0.95, (query) => float32.search(query, 10)],
    ['int8, prefilter', 0.95, (query) => int8.search(query, 10)],
    ['int8, exact', 0.98, (query) => int8.search(query, 10, { exact: true })],
  ]) {
    const reached = recall(search);
    t.diagnostic(`${name}: ${reached.toFixed(4)}`);
    assert.ok(reached >= least, `${name}: ${reached}`);
  }
});
