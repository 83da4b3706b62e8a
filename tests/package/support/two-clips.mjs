// Two CLIPs of one shape on a hub, so that a mixture of both would load; and how their tests load them.
import { after, before, beforeEach } from 'node:test';
import { ImageTextEmbedder, models } from 'pilotlight';
import { startHub } from '../../hub/hub.mjs';
import { imageFile, seededClip } from './clip.mjs';
import { filesOf, tinyFolder } from './models.mjs';

export const WEIGHTS = 'model.safetensors';
export const TOWERS = ['text', 'image'];
export const TINY = 'test/clip-tiny';
export const GOOD = filesOf(tinyFolder('clip-tiny'));

/** Each tower some 3 MB: more than is beside it. */
export const TOWER = { hidden_size: 128, intermediate_size: 512, num_hidden_layers: 4, num_attention_heads: 4 };
export const seeded = (seed) => ({
  ...seededClip({ text: TOWER, vision: TOWER }, seed),
  'tokenizer.json': GOOD['tokenizer.json'],
});
export const [FIRST, OTHER] = [seeded(1), seeded(2)];
export const [A, B] = ['test/a', 'test/b'];

export let hub;

/** A hub for all tests of a file, without faults and with no requests yet for each. */
export function setUp() {
  before(async () => {
    hub = await startHub({ models: { [TINY]: GOOD, [A]: FIRST, [B]: OTHER } });
    // It hashes files when it is asked first, which takes longer than the loads here wait.
    for (const model of [A, B]) await fetch(`${hub.url}/api/models/${model}/tree/main?recursive=true`);
  });
  beforeEach(() => {
    hub.setFaults([]);
    hub.requests.length = 0;
  });
  after(() => hub.close());
}

/** Loads a model, and returns its vectors. */
export async function load(model, store, more) {
  const embedder = await ImageTextEmbedder.load(model, { host: hub.url, dtype: 'f32', store, timeout: 500, ...more });
  const text =
    embedder.towers.includes('text') && (await embedder.embedTexts('A photo of a small dog by the sea.')).data;
  const image = embedder.towers.includes('image') && (await embedder.embedImages(imageFile('37x53.png'))).data;
  embedder.dispose();
  return { text, image };
}

/** Lets the question after the newest commit, which follows a load from the store, come to its end. */
export const settle = (milliseconds = 150) => new Promise((resolve) => setTimeout(resolve, milliseconds));
export const weightBytes = () =>
  hub.requests.filter(({ url }) => url.includes('.safetensors')).reduce((sum, { bytes }) => sum + bytes, 0);
export const listed = async (store) =>
  (await models.list({ store })).map(({ model, part, whole }) => `${model} ${part}${whole ? '' : ' begun'}`).sort();
export const bytesOf = ({ rows }) => [...rows.values()].reduce((sum, { length }) => sum + length, 0);

export const isSame = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
