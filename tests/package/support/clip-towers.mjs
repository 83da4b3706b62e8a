// CLIPs on a hub, whole, in shards and so large that each tower's bytes can be distinguished; and the loads of their tests.
import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { ImageTextEmbedder, models } from 'pilotlight';
import { startHub } from '../../hub/hub.mjs';
import { imageFile, seededClip } from './clip.mjs';
import { filesOf, tinyFolder } from './models.mjs';
import { parse, sharded } from './safetensors.mjs';

export const TINY = 'test/clip-tiny';
export const SHARDED = 'test/clip-tiny-gelu';
export const LARGE = 'test/clip-large';
export const WEIGHTS = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';
export const TOWERS = ['text', 'image'];
export const GOOD = filesOf(tinyFolder('clip-tiny'));
export const CUT = filesOf(tinyFolder('clip-tiny-gelu'));

/** A model whose towers have some 13 MB each, so that fetched bytes of the other tower can be noticed. */
export const TOWER = { hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 4, num_attention_heads: 4 };
export const WHOLE = { ...seededClip({ text: TOWER, vision: TOWER }), 'tokenizer.json': GOOD['tokenizer.json'] };
export const SIZES = sizesOf(WHOLE[WEIGHTS]);

/** Bytes of each tower's tensors. */
export function sizesOf(weights) {
  const sizes = { text: 0, image: 0 };
  for (const [
    name,
    {
      data_offsets: [from, to],
    },
  ] of Object.entries(parse(weights).header))
    sizes[/^vis/.test(name) ? 'image' : 'text'] += to - from;
  return sizes;
}

export let hub;

/** A hub for all tests of a file, without faults and with no requests yet for each. */
export function setUp() {
  before(async () => {
    hub = await startHub({
      models: {
        [TINY]: GOOD,
        [SHARDED]: CUT,
        [LARGE]: WHOLE,
        'test/text-cut': sharded(WHOLE, 'text_model.encoder.layers.2'),
        'test/image-cut': sharded(WHOLE, 'vision_model.encoder.layers.2'),
      },
    });
    // It hashes files when it is asked first, which takes longer than the loads here wait.
    for (const model of [LARGE, 'test/text-cut', 'test/image-cut'])
      await fetch(`${hub.url}/api/models/${model}/tree/main?recursive=true`);
  });
  beforeEach(() => {
    hub.setFaults([]);
    hub.requests.length = 0;
  });
  after(() => hub.close());
}

export const options = (store, more) => ({ host: hub.url, dtype: 'f32', store, timeout: 500, ...more });

/** Loads a model, and returns its vectors. */
export async function load(model, store, more) {
  const embedder = await ImageTextEmbedder.load(model, options(store, more));
  const text =
    embedder.towers.includes('text') && (await embedder.embedTexts('A photo of a small dog by the sea.')).data;
  const image = embedder.towers.includes('image') && (await embedder.embedImages(imageFile('37x53.png'))).data;
  embedder.dispose();
  return { text, image };
}

export const resolved = () => hub.requests.filter(({ url }) => url.includes('/resolve/'));
export const fileOf = ({ url }) => decodeURIComponent(url.split('/').at(-1));
export const sent = (file = /./) =>
  resolved()
    .filter((request) => file.test(fileOf(request)))
    .reduce((sum, { bytes }) => sum + bytes, 0);
export const SAFETENSORS = /\.safetensors$/;
/** The most bytes beside its own tensors that a tower may fetch: those that let a digest be checked, and the header. */
export const spare = (size) => Math.max(size / 50, 256 << 10) + FRONT;
/** The bytes at the front of each weights file that are requested before its header is read; some of them may be another tower's. */
export const FRONT = 60 << 10;
/** Checks the bytes that were sent against the announced number. */
export function assertSent(said, file = /./) {
  const fronts = resolved().filter(
    (request) => request.headers.range === `bytes=0-${FRONT - 1}` && file.test(fileOf(request)),
  ).length;
  assert.ok(sent(file) >= said && sent(file) <= said + fronts * FRONT, `${said} bytes were said, ${sent(file)} came`);
}
export const parts = async (store) =>
  (await models.list({ store })).map(({ part, whole }) => `${part} ${whole ? 'whole' : 'begun'}`).sort();

/** Lets the question after the newest commit, which follows a load from the store, come to its end. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 150));
