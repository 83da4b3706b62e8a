// The places that weights can come from, each to the same vector; and a dedicated Worker, which shares the page's store.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, packageFolder, startBench, tinyGolden } from './harness.mjs';

const NAME = 'bert-tiny-mean';
const MODEL = `tiny/${NAME}`;
const TEXT = 'a dog by the river';
let browser;
let bench;
let mirror;
let expected;

before(async () => {
  bench = await startBench({ [MODEL]: (await tinyGolden(NAME)).folder });
  mirror = await startMirror();
  browser = await launch();
  expected = (await visits([{ host: `${bench.url}/hub`, store: false }]))[0];
});
after(async () => {
  await browser?.close();
  await bench?.close();
  await mirror?.close();
});

/** A static host, of another origin, for the folder that `pilotlight pull` writes: it knows no API. */
async function startMirror() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-mirror-'));
  await promisify(execFile)(process.execPath, [
    path.join(packageFolder, 'cli.js'),
    'pull',
    MODEL,
    '--host',
    `${bench.url}/hub`,
    '--out',
    folder,
  ]);
  const requests = [];
  const server = createServer(async (request, response) => {
    requests.push(request.url);
    response.setHeader('Access-Control-Allow-Origin', '*');
    const file = path.join(folder, path.posix.normalize(new URL(request.url, 'http://localhost').pathname));
    const body = await readFile(file).catch(() => undefined);
    if (!body) return response.writeHead(404).end();
    response.writeHead(200).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  };
  return { url: `http://127.0.0.1:${server.address().port}`, requests, close };
}

/** One new page of the same browser profile for each list of options; what each of them saw. */
async function visits(all) {
  const context = await browser.newContext();
  const seen = [];
  for (const options of all) {
    const page = await context.newPage();
    await page.goto(bench.url);
    seen.push(
      await page.evaluate(
        async ({ model, text, options: { bundle, ...options } }) => {
          const { TextEmbedder } = await import('/package/web.js');
          const events = [];
          const files =
            bundle &&
            Object.fromEntries(
              await Promise.all(bundle.names.map(async (name) => [name, await fetch(bundle.folder + name)])),
            );
          const onProgress = (event) => events.push(event);
          const embedder = await TextEmbedder.load(model, {
            device: 'cpu',
            dtype: 'q8',
            ...options,
            ...(files && { files }),
            onProgress,
          });
          const { data } = await embedder.embed(text);
          return { vector: [...data], ready: events.at(-1), files: [...new Set(events.map(({ file }) => file))] };
        },
        { model: MODEL, text: TEXT, options },
      ),
    );
    await page.close();
  }
  await context.close();
  return seen;
}

const PACKED = 'pilotlight-q8.safetensors';

test('kept in the store: the second visit makes no request and gives the same bits', async () => {
  const options = { host: `${bench.url}/hub` };
  const [first, second] = await visits([options, options]);
  assert.deepEqual([first.ready.cached, first.ready.verified], [false, 'sha256']);
  assert.deepEqual([second.ready.cached, second.ready.verified], [true, 'sha256']);
  assert.deepEqual(first.vector, expected.vector);
  assert.deepEqual(second.vector, expected.vector);
});

test('on a mirror: the packed file comes, checked by the lock file, and is kept', async () => {
  const options = { host: mirror.url };
  const [first, second] = await visits([options, options]);
  assert.ok(first.files.includes(PACKED), first.files.join());
  assert.equal(first.ready.verified, 'sha256');
  assert.equal(second.ready.cached, true);
  assert.ok(!mirror.requests.some((url) => url.endsWith('model.safetensors')));
  for (const { vector } of [first, second]) assert.deepEqual(vector, expected.vector);
});

test('bundled: the bytes are the caller’s, and nothing is asked of a host or kept', async () => {
  const names = [
    'config.json',
    'tokenizer.json',
    'modules.json',
    '1_Pooling/config.json',
    'sentence_bert_config.json',
    PACKED,
  ];
  const bundle = { folder: `${mirror.url}/${MODEL}/resolve/main/`, names };
  const before = bench.requests.length;
  const [first, second] = await visits([{ bundle }, { bundle }]);
  assert.equal(bench.requests.length, before);
  for (const { vector, ready } of [first, second]) {
    assert.deepEqual(vector, expected.vector);
    assert.equal(ready.cached, false);
  }
});

test('fetched at every start: nothing is kept', async () => {
  const options = { host: mirror.url, store: false };
  const before = mirror.requests.length;
  const [first, second] = await visits([options, options]);
  assert.ok(mirror.requests.length >= before + 2);
  for (const { vector, ready } of [first, second]) {
    assert.deepEqual(vector, expected.vector);
    assert.equal(ready.cached, false);
  }
});

test('a dedicated Worker loads, keeps, and starts from what a page kept', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(bench.url);
  const seen = await page.evaluate(
    async ({ model, text }) => {
      const code = `onmessage = async ({ data: { model, text, origin } }) => {
        try {
          const { TextEmbedder } = await import(origin + '/package/web.js');
          let ready;
          const embedder = await TextEmbedder.load(model, { device: 'cpu', dtype: 'q8', host: origin + '/hub', onProgress: (event) => (ready = event) });
          const { data } = await embedder.embed(text);
          postMessage({ vector: [...data], cached: ready.cached });
        } catch (error) {
          postMessage({ error: error.message });
        }
      };`;
      const inWorker = () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), {
            type: 'module',
          });
          worker.onmessage = ({ data }) => {
            worker.terminate();
            resolve(data);
          };
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage({ model, text, origin: location.origin });
        });
      const first = await inWorker();
      const { models } = await import('/package/web.js');
      return { first, second: await inWorker(), listed: (await models.list()).length };
    },
    { model: MODEL, text: TEXT },
  );
  assert.deepEqual(seen.first, { vector: expected.vector, cached: false });
  assert.deepEqual(seen.second, { vector: expected.vector, cached: true });
  assert.equal(seen.listed, 1);
  await context.close();
});
