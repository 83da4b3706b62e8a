// PixFind: photos are uploaded and embedded by a small CLIP, a job builds their index, texts and photos find them, and one is deleted.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ImageTextEmbedder } from 'pilotlight';
import { allLoaders } from '../src/models/local/all.ts';
import type { Loader } from '../src/models/local/loader.ts';
import { retention } from '../src/retention.ts';
import { deliver, jsonl, openai } from './support/jobs.ts';
import { inFolder, type Json, modelHost, ROOT } from './support/models.ts';

const WEIGHTS = path.join(ROOT, 'weights/tiny-clip');
const SCENES = path.join(ROOT, 'tests/goldens/clip-scenes');
const COUNT = 48;

interface Scene {
  caption: string;
  length: number;
  scene: { background: string };
}

/** The text tower, as a model for texts of its own. */
const textTower: Loader = async ({ repository, options, compute }) => {
  const clip = await ImageTextEmbedder.load(repository, { ...options, towers: ['text'] });
  return {
    dimensions: clip.dimensions,
    calls: {
      async embed(texts) {
        const made = await compute.run(64, () => clip.embedTexts(texts));
        return { ...made, data: made.data as Float32Array };
      },
    },
    dispose: () => clip.dispose(),
  };
};

function photos(): { name: string; caption: string; background: string; bytes: Uint8Array<ArrayBuffer> }[] {
  const { scenes } = JSON.parse(readFileSync(path.join(SCENES, 'scenes.json'), 'utf8')) as { scenes: Scene[] };
  const all = readFileSync(path.join(SCENES, 'pictures.bin'));
  let end = 0;
  return scenes.slice(0, COUNT).map(({ caption, length, scene }, at) => {
    end += length;
    const bytes = new Uint8Array(all.subarray(end - length, end));
    return { name: `photo-${at}.png`, caption, background: scene.background, bytes };
  });
}

const dataUrl = (bytes: Uint8Array) => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;

test('photos are uploaded, embedded, indexed by a job, found by text and by photo, and one is deleted', async () => {
  const models = {
    'clip-images': inFolder('embed-image', WEIGHTS, 'pilotlight/tiny-clip'),
    'clip-texts': inFolder('embed', WEIGHTS, 'pilotlight/tiny-clip'),
  };
  await using host = await modelHost({ models }, { parts: { loaders: { ...allLoaders, embed: textTower } } });
  const client = openai(host.app, host.key);
  const ok = async (method: string, at: string, json?: object): Promise<Json> => {
    const response = await host.call(method, at, json ? { json } : {});
    const body = await response.json();
    assert.ok(response.ok, JSON.stringify(body));
    return body;
  };

  // Upload.
  const uploaded = new Map<string, { id: string; photo: ReturnType<typeof photos>[number] }>();
  for (const photo of photos()) {
    const { id } = await client.files.create({ file: new File([photo.bytes], photo.name), purpose: 'vision' });
    uploaded.set(id, { id, photo });
  }

  // Embed what was uploaded, sixteen in a request.
  const items: object[] = [];
  const files = [...uploaded.values()];
  for (let at = 0; at < files.length; at += 16) {
    const some = files.slice(at, at + 16);
    const input = [];
    for (const { id } of some)
      input.push(dataUrl(new Uint8Array(await (await client.files.content(id)).arrayBuffer())));
    const { data } = await ok('POST', '/v1/images/embeddings', {
      model: 'clip-images',
      input,
      encoding_format: 'base64',
    });
    for (const [index, { id, photo }] of some.entries()) {
      items.push({ id, vector: data[index].embedding, tags: [photo.background.replaceAll(' ', '-')] });
    }
  }

  // Build the index.
  const vectors = await client.files.create({ file: new File([jsonl(items)], 'photos.jsonl'), purpose: 'user_data' });
  const order = { file_id: vectors.id, model: 'clip-images', query_model: 'clip-texts' };
  assert.equal((await ok('PUT', '/v1/indexes/photos', order)).index.state, 'building');
  await deliver(host);
  const index = await ok('GET', '/v1/indexes/photos');
  assert.deepEqual([index.state, index.items, index.query_model, index.error], ['ready', COUNT, 'clip-texts', null]);

  // Search by text: the caption finds its own photo nine times of ten.
  const find = async (json: object) =>
    (await ok('POST', '/v1/indexes/photos/query', json)).hits as { id: string; score: number }[];
  let right = 0;
  for (const { id, photo } of files) {
    if ((await find({ input: photo.caption, top_k: 1 }))[0]?.id === id) right += 1;
  }
  assert.ok(right >= 0.9 * COUNT, `${right} of ${COUNT}`);

  // Search by photo: each finds itself first, also among those of its background.
  for (const { id, photo } of files.slice(0, 8)) {
    const image = dataUrl(photo.bytes);
    const [first, second] = await find({ image, top_k: 2 });
    assert.equal(first?.id, id);
    assert.ok((first?.score as number) > 0.99 && (second?.score as number) < (first?.score as number));
    const tags = [photo.background.replaceAll(' ', '-')];
    const same = await find({ image, top_k: 100, filter: { tags } });
    assert.deepEqual(
      same.map((hit) => uploaded.get(hit.id)?.photo.background).filter((background) => background !== photo.background),
      [],
    );
    assert.equal(same[0]?.id, id);
  }

  // Delete one, as a photo and in the index.
  const [gone] = files as [(typeof files)[number]];
  await client.files.delete(gone.id);
  assert.equal((await ok('POST', '/v1/indexes/photos/remove', { ids: [gone.id] })).removed, 1);
  const left = await find({ image: dataUrl(gone.photo.bytes), top_k: 100 });
  assert.equal(left.length, COUNT - 1);
  assert.ok(!left.some(({ id }) => id === gone.id));
  await assert.rejects(client.files.content(gone.id), { status: 404 });
  await retention(host, { daily: true, now: Date.now() + 3 * 3_600_000 });
  assert.equal(
    (await find({ input: 'a red square', top_k: 5 })).length,
    5,
    'the cron job takes nothing that is in use',
  );
});
