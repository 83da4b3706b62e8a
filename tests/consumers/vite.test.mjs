// `pilotlight/vite` with each version of Vite that it is for: the dev server, a build and its preview, in Chromium.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch, maxAbsError } from '../browser/harness.mjs';
import { startHub } from '../hub/hub.mjs';
import { golden, tinyFolder } from '../package/support/models.mjs';
import { TEXTS } from './app/embed.js';
import { CONSUMERS, makeConsumer } from './support/consumer.mjs';

const MODEL = 'test/bert-tiny-mean';
const { cases } = golden('bert-tiny-mean');
const EXPECTED = TEXTS.flatMap((text) => cases.find((one) => one.text === text).embedding);
const VERSIONS = { 5: 'vite5', 6: 'vite6', 7: 'vite7', 8: undefined };

let app;
let hub;
let browser;
let pilotlight;
before(async () => {
  app = makeConsumer('vite', { from: ['vite-app', 'app/embed.js'] });
  hub = await startHub({ models: { [MODEL]: tinyFolder('bert-tiny-mean') } });
  browser = await launch();
  ({ pilotlight } = await import(pathToFileURL(path.join(app, 'node_modules/pilotlight/vite.js'))));
});
after(async () => {
  await browser?.close();
  await hub?.close();
  if (app) rmSync(app, { recursive: true });
});

for (const [major, name] of Object.entries(VERSIONS)) {
  const load = () =>
    import(name ? pathToFileURL(path.join(CONSUMERS, `node_modules/${name}/dist/node/index.js`)) : 'vite');
  const settings = (plugins) => ({
    root: app,
    configFile: false,
    logLevel: 'error',
    cacheDir: path.join(app, `cache-${major}`),
    publicDir: `public-${major}`,
    build: { outDir: `dist-${major}` },
    server: { port: 0 },
    preview: { port: 0 },
    plugins,
  });
  const plugin = () => pilotlight({ models: [{ model: MODEL, dtype: 'f32', host: hub.url }], isolation: true });

  test(`Vite ${major}: the dev server`, async (t) => {
    const { createServer, version } = await load();
    assert.equal(version.split('.')[0], major);
    const server = await createServer(settings([plugin()]));
    t.after(() => server.close());
    await server.listen();
    await checkPage(t, server.resolvedUrls.local[0]);
    const list = await (await fetch(new URL('pilotlight-files.json', server.resolvedUrls.local[0]))).json();
    assert.deepEqual(list, { version: 'dev', shell: [], onUse: [] });
  });

  test(`Vite ${major}: a build, its preview and its list of files`, async (t) => {
    const { build, preview } = await load();
    hub.requests.length = 0;
    await build(settings([plugin()]));
    assert.deepEqual(hub.requests, [], 'the dev server has pulled the model');
    const server = await preview(settings([plugin()]));
    t.after(() => server.close());
    const [url] = server.resolvedUrls.local;
    await checkPage(t, url);

    const dist = path.join(app, `dist-${major}`);
    const { shell, onUse } = JSON.parse(readFileSync(path.join(dist, 'pilotlight-files.json'), 'utf8'));
    assert.ok(shell.includes('./'));
    const known = [...shell.map((file) => (file === './' ? 'index.html' : file)), ...onUse, 'pilotlight-files.json'];
    const built = readdirSync(dist, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.relative(dist, path.join(parentPath, name)));
    assert.deepEqual(known.sort(), built.filter((file) => !file.startsWith('models/')).sort());
    for (const core of ['simd', 'relaxed', 'webgpu'])
      assert.ok(
        onUse.some((file) => new RegExp(`${core}.*\\.wasm$`).test(file)),
        core,
      );
    assert.ok(shell.every((file) => !file.endsWith('.wasm')));
  });

  // The plugin exists because of these failures; a Vite that does not need it works without it.
  const isNeeded = major !== '8';
  test(`Vite ${major}: without the plugin ${isNeeded ? 'the dev server and workers fail' : 'all works'}`, async (t) => {
    const { build, createServer, preview } = await load();
    const own = settings([]);
    const bare = { ...own, cacheDir: `${own.cacheDir}-bare`, build: { outDir: `${own.build.outDir}-bare` } };
    const built = build({ ...bare, logLevel: 'silent' });
    if (isNeeded) await assert.rejects(built, /"iife".*code-splitting/);
    else await built;
    const server = await createServer(bare);
    t.after(() => server.close());
    await server.listen();
    const [page] = await answersOf(t, server.resolvedUrls.local[0]);
    if (isNeeded) return assert.match(String(page.error), /the CPU core/);
    assert.equal(page.backend?.worker, true, page.error);
    const site = await preview(bare);
    t.after(() => site.close());
    const [ofBuild] = await answersOf(t, site.resolvedUrls.local[0]);
    assert.equal(ofBuild.backend?.worker, true, ofBuild.error);
  });
}

async function answersOf(t, url) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(url);
  await page.waitForFunction(() => globalThis.answer, undefined, { timeout: 30_000 });
  return page.evaluate(() => globalThis.answer);
}

async function checkPage(t, url) {
  for (const [index, { error, data, backend, isolated }] of (await answersOf(t, url)).entries()) {
    const where = index === 0 ? 'the page' : 'the worker';
    assert.equal(error, undefined, where);
    assert.ok(maxAbsError([data], [EXPECTED]) < 1e-5, where);
    assert.equal(backend.worker, index === 0, backend.reason);
    assert.equal(isolated, true, where);
  }
}
