// The parts that all browser tests share: Chromium, the built page with its models, a bare page that imports the package, and numbers.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from '../../www/serve.mjs';
import { createHub } from '../hub/hub.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const results = path.join(root, 'tests/browser/results');
export const goldens = path.join(root, 'tests/goldens');
export const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
export const minilm = process.env.PILOTLIGHT_MINILM ?? path.join(root, '.models/all-MiniLM-L6-v2');
/** The folder of the packed and installed package. */
export const packageFolder = path.dirname(fileURLToPath(import.meta.resolve('pilotlight/package.json')));

export { FIGURES } from '../data.mjs';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/**
 * @param {object} [options]
 * @param {boolean} [options.softwareGpu] Whether there is a GPU, which is a software renderer.
 * @param {string[]} [options.gpuFlags] Those of Chromium's WebGPU, such as `disable_workgroup_init`, without which the software renderer takes twice the time
 *   to compile kernels: they would set shared memory to zero first.
 * @param {string[]} [options.engineFlags] V8's, such as `--no-enable-fma3`.
 */
export const launch = ({ softwareGpu = false, gpuFlags = [], engineFlags = [] } = {}) =>
  chromium.launch({
    executablePath,
    args: [
      ...ARGS,
      ...(softwareGpu ? SOFTWARE_GPU : []),
      ...(gpuFlags.length > 0 ? [`--enable-dawn-features=${gpuFlags.join()}`] : []),
      ...(engineFlags.length > 0 ? [`--js-flags=${engineFlags.join(' ')}`] : []),
    ],
  });

/** A browser whose profile outlives it: `open()` starts it again on the same folder. */
export async function persistentProfile() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-profile-'));
  return {
    open: ({ args = [], ...options } = {}) =>
      chromium.launchPersistentContext(folder, { executablePath, args: [...ARGS, ...args], ...options }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The built demo page with the real MiniLM beside it; `options` are those of the server. */
export async function startSite(models = {}, options = {}) {
  await readFile(path.join(minilm, 'config.json')).catch(() =>
    assert.fail(`MiniLM's weights are not in ${minilm}: \`make test\` fetches them`),
  );
  await readFile(path.join(root, 'www/dist/index.html')).catch(() =>
    assert.fail('www/dist is not built: run `vite build www`'),
  );
  return serve({ models: { [MINILM]: minilm, ...models }, ...options });
}

/** A tiny golden model: the files of its repository, and PyTorch's results. */
export async function tinyGolden(name) {
  const folder = path.join(goldens, name);
  return { folder, expected: JSON.parse(await readFile(path.join(folder, 'expected.json'), 'utf8')) };
}

export const minilmGolden = async () => JSON.parse(await readFile(path.join(goldens, 'minilm/expected.json'), 'utf8'));

const TYPES = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.html': 'text/html',
};

/**
 * An empty page on a server that has the package under /package/ and models under /hub.
 * @param {object} [options] besides these, those of the hub
 * @param {Record<string, string>} [options.files] address → a file that the server has there
 * @param {(url: string) => Record<string, string>} [options.headers] further headers of each answer that is not the hub's
 */
export async function startBench(models = { [MINILM]: minilm }, { files = {}, headers = () => ({}), ...options } = {}) {
  const hub = createHub({ models, prefix: '/hub', ...options });
  const server = createServer(async (request, response) => {
    if (request.url.startsWith('/hub/')) return hub.handle(request, response);
    for (const [name, value] of Object.entries(headers(request.url))) response.setHeader(name, value);
    const file = request.url.startsWith('/package/')
      ? path.join(packageFolder, path.posix.normalize(request.url.slice('/package'.length)))
      : files[request.url.split('?')[0]];
    if (file === undefined)
      return response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>bench</title>');
    try {
      const body = await readFile(file);
      response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests: hub.requests,
    setFaults: hub.setFaults,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** Loads a model in a bare page and embeds; what is thrown comes back as `{ error: { code, message } }`. */
export async function embedInPage(page, { model = MINILM, wasm, options = {}, texts }) {
  return page.evaluate(
    async ({ model, wasm, options, texts }) => {
      try {
        const { TextEmbedder, init } = await import('/package/web.js');
        if (wasm) await init({ wasm: `/package/core/${wasm}.wasm` });
        const embedder = await TextEmbedder.load(model, { host: `${location.origin}/hub`, store: false, ...options });
        const { data, dims, tokens, truncated } = await embedder.embed(texts);
        const { backend, dimensions, maxTokens } = embedder;
        const vectors = texts.map((_, row) => Array.from(data.subarray(row * dims[1], (row + 1) * dims[1])));
        embedder.dispose();
        return { vectors, dims, tokens, truncated, backend, dimensions, maxTokens };
      } catch (error) {
        return { error: { name: error.name, code: error.code, message: error.message } };
      }
    },
    { model, wasm, options, texts },
  );
}

export function maxAbsError(actual, expected) {
  assert.equal(actual.length, expected.length);
  let worst = 0;
  actual.forEach((row, i) => {
    assert.equal(row.length, expected[i].length);
    row.forEach((value, j) => {
      const error = Math.abs(value - expected[i][j]);
      // A NaN (null, once it went through JSON) must not pass as small.
      if (typeof value !== 'number' || Number.isNaN(error)) worst = Infinity;
      else if (error > worst) worst = error;
    });
  });
  return worst;
}

export function cosine(a, b) {
  assert.equal(a.length, b.length);
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Waits until `condition` holds, for 10 seconds at most. */
export async function until(what, condition) {
  for (let i = 0; i < 200; i += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`it never was so that ${what}`);
}

/** Runs in a page, and keeps the workers that it starts from then on in `started`, in their order. */
export function keepWorkers() {
  const { Worker: Real } = window;
  window.started = [];
  window.Worker = class extends Real {
    constructor(...args) {
      super(...args);
      started.push(this);
    }
  };
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Runs a function with an argument in each worker that the page starts from now on, before the worker's own script. */
export const beforeWorkers = (page, work, argument) =>
  page.route(/\/worker(-[\w-]+)?\.js$/, async (route) => {
    const response = await route.fetch();
    const script = await response.text();
    await route.fulfill({ response, body: `(${work})(${JSON.stringify(argument) ?? ''});\n${script}` });
  });

/** Everything that a page complains about; the test looks at it at its end. */
export function complaints(page) {
  const list = [];
  page.on('pageerror', (error) => list.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    // Chromium says this itself where a page asks for a GPU and there is none.
    if (message.text() === 'No available adapters.') return;
    if (message.type() === 'error' || message.type() === 'warning') list.push(`${message.type()}: ${message.text()}`);
  });
  return list;
}

/** The demo page, as a person sees it. */
export const demo = {
  async open(context, url) {
    const page = await context.newPage();
    await page.goto(url);
    return page;
  },

  async load(page, { model, host, device, weights } = {}) {
    if (model !== undefined) await page.getByLabel('Model', { exact: true }).fill(model);
    if (host !== undefined) await page.getByLabel('Model host').fill(host);
    if (device) await page.getByRole('group', { name: 'Device' }).getByText(device, { exact: true }).click();
    if (weights) await page.getByRole('group', { name: 'Weights' }).getByText(weights, { exact: true }).click();
    await page.getByRole('button', { name: 'Load the model' }).click();
  },

  ready: (page, timeout = 120_000) => page.getByRole('heading', { name: /is ready$/ }).waitFor({ timeout }),

  /** All sentences of the list have their vector. */
  embedded: (page, count = 24) => page.getByText(`${count} sentences, `).waitFor({ timeout: 60_000 }),

  problem: (page) => page.getByRole('alert'),
};
