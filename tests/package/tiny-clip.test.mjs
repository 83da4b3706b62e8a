// Tests the tiny CLIP end to end, in int8 as it is served: it finds the described images among combinations that it never saw.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ImageTextEmbedder, VectorIndex } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { ROOT } from './support/models.mjs';

const MODEL = 'pilotlight/tiny-clip';
const folder = path.join(ROOT, 'tests/goldens/clip-scenes');
const { labels, scenes } = JSON.parse(readFileSync(path.join(folder, 'scenes.json'), 'utf8'));

/** PNG files, one after the other. */
function images() {
  const all = readFileSync(path.join(folder, 'pictures.bin'));
  let end = 0;
  return scenes.map(({ length }) => {
    end += length;
    return all.subarray(end - length, end);
  });
}

let hub;
let clip;
let seen;
before(async () => {
  hub = await startHub({ models: { [MODEL]: path.join(ROOT, 'weights/tiny-clip') } });
  clip = await ImageTextEmbedder.load(MODEL, { host: hub.url, store: false });
  seen = await clip.embedImages(images());
});
after(async () => {
  clip?.dispose();
  await hub?.close();
});

test('both towers take less than 6 MB', () => {
  const sent = hub.requests
    .filter(({ url }) => url.endsWith('.safetensors'))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(sent > 1e6 && sent < 6e6, `${sent} bytes`);
});

test('a caption finds its image among 1,000 others, nine times of ten', async (t) => {
  const index = await VectorIndex.create({ dimensions: clip.dimensions });
  index.add([...scenes.keys()], seen);
  const { data, dims } = await clip.embedTexts(scenes.map(({ caption }) => caption));
  const right = scenes.filter(
    (_, i) => index.search(data.subarray(i * dims[1], (i + 1) * dims[1]), 1)[0].id === i,
  ).length;
  t.diagnostic(`recall@1 ${((100 * right) / scenes.length).toFixed(1)} %`);
  assert.ok(right >= 0.9 * scenes.length, `${right} of ${scenes.length}`);
});

test('labels are told without training, 95 of 100, and most in every category', async (t) => {
  const template = '{}';
  const told = {};
  const files = images();
  for (const [i, { category, labels: set, label }] of scenes.entries()) {
    const choice = typeof set === 'number' ? labels[set] : set;
    const [best] = await clip.classify(files[i], choice, { template });
    told[category] ??= { right: 0, all: 0 };
    const counts = told[category];
    counts.all += 1;
    if (best.label === choice[label]) counts.right += 1;
  }
  const sum = (key) => Object.values(told).reduce((all, counts) => all + counts[key], 0);
  for (const [category, { right, all }] of Object.entries(told)) {
    t.diagnostic(`${category}: ${right} of ${all}`);
    assert.ok(right >= 0.85 * all, `${category}: ${right} of ${all}`);
  }
  t.diagnostic(`zero-shot top-1 ${((100 * sum('right')) / sum('all')).toFixed(1)} %`);
  assert.equal(sum('all'), 1000);
  assert.ok(sum('right') >= 950, `${sum('right')} of 1000`);
});

test('what one types finds it too', async (t) => {
  const index = await VectorIndex.create({ dimensions: clip.dimensions });
  index.add([...scenes.keys()], seen);
  const first = async (text) => scenes[index.search(await clip.embedTexts(text), 1)[0].id].scene.objects;
  // Each thing that stands alone in some image, by its colour and name.
  const things = [
    ...new Set(
      scenes.flatMap(({ scene: { objects } }) =>
        objects.length === 1 ? `${objects[0].colour} ${objects[0].shape}` : [],
      ),
    ),
  ];
  const wrong = [];
  for (const thing of things)
    if (!(await first(thing)).some(({ colour, shape }) => `${colour} ${shape}` === thing)) wrong.push(thing);
  t.diagnostic(`${things.length - wrong.length} of ${things.length} things`);
  assert.ok(things.length > 20 && wrong.length <= 0.05 * things.length, `${wrong}`);
  const squares = await first('three squares');
  assert.ok(squares.length === 3 && squares.every(({ shape }) => shape === 'square'), JSON.stringify(squares));
  assert.equal((await first('the digit seven'))[0].shape, 'seven');
});
