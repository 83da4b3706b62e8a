// A real and a seeded encoder on a hub, and how the tests of their layers load them.
import { after, before, beforeEach } from 'node:test';
import { models, TextEmbedder } from 'pilotlight';
import { startHub } from '../../hub/hub.mjs';
import { MINILM, tinyFolder } from './models.mjs';
import { sharded } from './safetensors.mjs';
import { seededBert } from './seeded-bert.mjs';

export const REAL = 'sentence-transformers/all-MiniLM-L6-v2';
export const SEEDED = 'test/seeded';
export const SHARDS = 'test/shards';
/** Four layers of 0.9 MB: those that are not needed are too many to be fetched in vain for the digest of the whole file. */
export const FILES = seededBert({ layers: 4, dimensions: 192 });
export const TEXTS = ['light', 'The pilot light is warm.', '', 'a dog by the river and a small red train'];
export const WEIGHTS = /\.safetensors$/;

export let hub;

/** A hub for all tests of a file, without faults and with no requests yet for each. */
export function setUp() {
  before(async () => {
    hub = await startHub({
      models: {
        [REAL]: MINILM,
        [SEEDED]: FILES,
        [SHARDS]: sharded(FILES, 'encoder.layer.1'),
        'test/bert-tiny-cls': tinyFolder('bert-tiny-cls'),
      },
    });
    // It hashes files when it is asked first, for which no load has to wait then.
    await fetch(`${hub.url}/api/models/${REAL}/tree/main?recursive=true`);
  });
  beforeEach(() => {
    hub.setFaults([]);
    hub.requests.length = 0;
  });
  after(() => hub.close());
}

export const options = (store, more) => ({ host: hub.url, dtype: 'f32', store, timeout: 1000, ...more });
export const open = (store, more, model = SEEDED) => TextEmbedder.load(model, options(store, more));
/** Bytes of files that were sent, without those of the API. */
export const sent = (file = /./) =>
  hub.requests
    .filter(({ url }) => url.includes('/resolve/') && file.test(url))
    .reduce((sum, { bytes }) => sum + bytes, 0);
/** Lets what follows the first answer come to its end: the question after the newest commit, and a sweep. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 150));

/** The stored parts: `'f32 layers2'`, `'f32 all begun'`. */
export async function listed(store) {
  const all = await models.list({ store });
  return all.map(({ dtype, part = 'all', whole }) => `${dtype} ${part}${whole ? '' : ' begun'}`).sort();
}
