// The module of the image decoders in a Cloudflare Worker, whose upload it is a part of.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ImageTextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';
import { startWorker } from './support/workers.mjs';

const MODEL = 'test/clip-tiny';
const SOURCE = `
  import { ImageTextEmbedder } from 'pilotlight';
  export default {
    async fetch(request, { HOST }) {
      const embedder = await ImageTextEmbedder.load('${MODEL}', { host: HOST, dtype: 'f32', store: false });
      return Response.json(Array.from((await embedder.embedImages(await request.arrayBuffer())).data));
    },
  };`;

test('a Worker decodes an image to the pixels that Node decodes', async (t) => {
  const hub = await startHub({ models: { [MODEL]: filesOf(tinyFolder('clip-tiny')) }, port: 0 });
  t.after(() => hub.close());
  const worker = await startWorker(SOURCE, { bindings: { HOST: hub.url } });
  t.after(() => worker.stop());
  const png = readFileSync(path.join(ROOT, 'tests/goldens/resize/24x24.png'));
  const { status, body } = await worker.send('/', png);
  assert.equal(status, 200, body);
  const embedder = await ImageTextEmbedder.load(MODEL, { host: hub.url, dtype: 'f32', store: false });
  const { data } = await embedder.embedImages(new Uint8Array(png));
  // Node 20 runs the other core, whose last digits are others.
  for (const [i, value] of JSON.parse(body).entries()) assert.ok(Math.abs(value - data[i]) < 1e-5, `value ${i}`);
});
