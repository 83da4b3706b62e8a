// Times the places that weights can come from, in Chromium: from opening a new page to the model being ready and to its first embedding.
//
//   node benches/placements.mjs [--rounds 9] [--json FILE]
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { createHub } from '../tests/hub/hub.mjs';
import { launch, markdown, median, serve } from './browser.mjs';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, json: { type: 'string' } },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const installed = path.join(root, 'node_modules/pilotlight');
const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const minilm = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');

const mirror = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-mirror-'));
process.on('exit', () => rmSync(mirror, { recursive: true, force: true }));
const hub = createHub({ prefix: '/hub', models: { [MODEL]: minilm } });
const server = await serve(
  { '/package/': installed, '/mirror/': mirror, '/hub/': hub.handle },
  `<!doctype html><title>placements</title><script type="module">
    import { TextEmbedder } from '/package/web.js';
    const { model, options, bundle } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    const times = { imported: performance.now() };
    const files = bundle && Object.fromEntries(await Promise.all(bundle.names.map(async (name) => [name, await fetch(bundle.folder + name)])));
    const embedder = await TextEmbedder.load(model, { device: 'cpu', ...options, ...(files && { files }) });
    times.ready = performance.now();
    await embedder.embed('A man is playing a flute.');
    times.first = performance.now();
    window.times = times;
  </script>`,
);

// The folder that a static host serves, made by the package's own command; its files are what an app would bundle, too.
await promisify(execFile)(process.execPath, [
  path.join(installed, 'cli.js'),
  'pull',
  MODEL,
  '--host',
  `${server.origin}/hub`,
  '--out',
  mirror,
]);
const bundle = {
  folder: `/mirror/${MODEL}/resolve/main/`,
  names: [
    'config.json',
    'tokenizer.json',
    'modules.json',
    '1_Pooling/config.json',
    'sentence_bert_config.json',
    'pilotlight-q8.safetensors',
  ],
};
const PLACEMENTS = {
  'bundled bytes (`files`)': { bundle },
  'fetched at every start (`store: false`), packed file': {
    options: { host: `${server.origin}/mirror`, store: false },
  },
  'kept in the store, upstream file of the hub': { options: { host: `${server.origin}/hub` } },
  'kept in the store, own mirror with the packed file': { options: { host: `${server.origin}/mirror` } },
};

const browser = await launch();
const times = Object.fromEntries(Object.keys(PLACEMENTS).map((name) => [name, { cold: [], warm: [] }]));
for (let round = 0; round < Number(options.rounds); round += 1) {
  for (const [name, placement] of Object.entries(PLACEMENTS)) {
    const context = await browser.newContext();
    for (const visit of ['cold', 'warm']) {
      const page = await context.newPage();
      page.on('pageerror', (error) => console.error(`${name}: ${error.message}`));
      await page.goto(`${server.origin}/#${encodeURIComponent(JSON.stringify({ model: MODEL, ...placement }))}`);
      await page.waitForFunction(() => window.times);
      times[name][visit].push(await page.evaluate(() => window.times));
      await page.close();
    }
    await context.close();
  }
}
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Chromium ${browser.version()}; medians of ${options.rounds} rounds`;
await browser.close();
server.close();

const ms = (visits, from, to) => median(visits.map((visit) => visit[to] - (from ? visit[from] : 0)));
const rows = Object.entries(times).map(([name, { cold, warm }]) => ({
  'weights are': name,
  'first visit, ms': ms(cold, undefined, 'first'),
  'later visits, ms': ms(warm, undefined, 'first'),
  '`load` of later visits, ms': ms(warm, 'imported', 'ready'),
}));
console.log(`${machine}\n\nFrom opening the page to the first embedding.\n\n${markdown(rows)}`);
if (options.json) {
  mkdirSync(path.dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
