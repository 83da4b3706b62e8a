// CLIP's multilingual text tower: a `TextEmbedder` whose vectors find the images of CLIP's image tower.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ImageTextEmbedder, models, TextEmbedder, VectorIndex } from 'pilotlight';
import { clipGolden, imageFile } from './support/clip.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { cosine } from './support/vectors.mjs';

const TOWER = 'clip-multilingual-tiny';
const { pictures, tensors } = clipGolden('clip-tiny');
const { cases } = JSON.parse(readFileSync(new URL(`../goldens/${TOWER}/expected.json`, import.meta.url), 'utf8'));

test('texts of the multilingual tower find the images that PyTorch says, in order', async () => {
  const images = await ImageTextEmbedder.load('test/clip-tiny', {
    files: filesOf(tinyFolder('clip-tiny')),
    towers: ['image'],
    dtype: 'f32',
  });
  const texts = await TextEmbedder.load(`test/${TOWER}`, { files: filesOf(tinyFolder(TOWER)), dtype: 'f32' });
  assert.equal(texts.dimensions, images.dimensions);
  const index = await VectorIndex.create({ dimensions: images.dimensions, precision: 'float32' });
  index.add(pictures, await images.embedImages(pictures.map(imageFile)));
  for (const { text, embedding } of cases) {
    const expected = pictures
      .map((id, i) => ({ id, score: cosine(tensors.image_features[i], embedding) }))
      .sort((a, b) => b.score - a.score);
    const found = index.search(await texts.embed(text), pictures.length);
    assert.deepEqual(
      found.map(({ id }) => id),
      expected.map(({ id }) => id),
      text,
    );
    for (const [i, { score }] of found.entries()) assert.ok(Math.abs(score - expected[i].score) < 2e-5, `${score}`);
  }
  for (const model of [images, texts, index]) model.dispose();
});

test('a plan names the class of each tower', async () => {
  for (const [name, expected] of [
    [TOWER, 'TextEmbedder'],
    ['siglip-tiny', 'ImageTextEmbedder'],
  ]) {
    const plan = await models.plan(`test/${name}`, { files: filesOf(tinyFolder(name)) });
    assert.equal(plan.class, expected);
  }
});
