// The places of places.mjs: two sentences in each, built with its tool, and run in Chromium or in its runtime.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { launch, maxAbsError } from '../browser/harness.mjs';
import { startHub } from '../hub/hub.mjs';
import { golden, tinyFolder } from '../package/support/models.mjs';
import { TEXTS } from './app/embed.js';
import { HERE, IN_WORKER, PAGES, PROGRAMS, RUNNERS, SERVERS } from './places.mjs';
import { CONSUMERS, makeConsumer, ROOT } from './support/consumer.mjs';
import { serveFolder } from './support/serve.mjs';

const NAME = 'bert-tiny-mean';
const { cases } = golden(NAME);
const EXPECTED = TEXTS.map((text) => cases.find((one) => one.text === text).embedding);

/** The folders of the places, which go when all servers have ended. */
const PLACES = path.join(ROOT, 'target/consumers/places');

let hub;
let browser;
before(async () => {
  hub = await startHub({ models: { [`test/${NAME}`]: tinyFolder(NAME) } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await hub?.close();
  rmSync(PLACES, { recursive: true, force: true });
});

/** The address of the program that a command of places.mjs starts with. */
function programOf(command, folder) {
  const [program] = command.split(' ');
  const [group, ...rest] = program.split('/');
  return group === 'node_modules' ? path.join(folder, program) : path.join(CONSUMERS, group, 'node_modules', ...rest);
}

/** The reason why a place is skipped: npm has runtimes for some machines only. */
const missing = (command) =>
  /^(runtimes|[.])\//.test(command) && !existsSync(programOf(command)) && 'npm has no such program for this machine';

/** A command with its arguments, and the options that have it run in a folder with the Node of this process. */
const processOf = (command, folder, { args = [], variables = {} } = {}) => [
  programOf(command, folder),
  [...command.split(' ').slice(1), ...args],
  {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
      NEXT_TELEMETRY_DISABLED: '1',
      NG_CLI_ANALYTICS: 'false',
      ...variables,
    },
    maxBuffer: 1 << 26,
  },
];

/** Runs a command and returns what it printed. */
const run = async (...of) => (await promisify(execFile)(...processOf(...of))).stdout;

/** Starts a server and returns the address that it prints; the test ends it. */
async function start(t, ...of) {
  const server = spawn(...processOf(...of));
  const ended = new Promise((resolve) => server.once('exit', resolve));
  t.after(() => {
    server.kill();
    return ended;
  });
  let printed = '';
  return new Promise((resolve, reject) => {
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${printed}`)));
    for (const stream of [server.stdout, server.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        printed += text;
        const address = /http:\/\/localhost:\d+/.exec(printed);
        if (address) resolve(address[0]);
      });
  });
}

const consumerOf = (name, options) =>
  makeConsumer(path.join(path.basename(PLACES), name.replace(/\W+/g, '-')), options);

/** Checks what a place has answered: the values and where they were computed, or the error that is expected of it. */
function check(t, answer, expected) {
  if (expected.code) {
    assert.equal(answer.code, expected.code, JSON.stringify(answer));
    assert.match(answer.message, expected.message);
    return;
  }
  assert.ok(answer.data, JSON.stringify(answer));
  const { data, backend } = answer;
  t.diagnostic(`${backend.simd}, worker: ${backend.worker}: ${backend.reason}`);
  assert.ok(maxAbsError([data], [EXPECTED.flat()]) < 1e-5);
  assert.equal(backend.worker, expected.worker, backend.reason);
  if (expected.reason) assert.match(backend.reason, expected.reason);
}

async function answerOf(url) {
  const page = await browser.newPage();
  try {
    // The first page of a dev server waits for its build.
    await page.goto(url, { timeout: 120_000 });
    await page.waitForFunction(() => globalThis.answer, undefined, { timeout: 30_000 });
    return await page.evaluate(() => globalThis.answer);
  } finally {
    await page.close();
  }
}

describe('a page built with', () => {
  for (const { name, build: command, html, expected, ...place } of PAGES) {
    test(name, { skip: missing(command) }, async (t) => {
      const { from = ['app'], packages, isElsewhere, copies = [], wasm, entry } = place;
      const folder = consumerOf(name, { from, packages });
      if (entry) {
        const file = path.join(folder, 'embed.js');
        writeFileSync(file, readFileSync(file, 'utf8').replace("'pilotlight'", `'${entry}'`));
      }
      await run(command, folder);
      const dist = path.join(folder, 'dist');
      for (const file of copies)
        cpSync(path.join(folder, 'node_modules/pilotlight', file), path.join(dist, file), { recursive: true });
      const server = await serveFolder(dist);
      t.after(server.close);
      let page = server;
      if (isElsewhere) {
        page = await serveFolder(folder);
        t.after(page.close);
      }
      const script = isElsewhere ? html.replace('src="', `src="${server.url}/`) : html;
      if (html)
        writeFileSync(
          path.join(isElsewhere ? folder : dist, 'index.html'),
          `<!doctype html><title>${name}</title><body>${script}`,
        );
      const asked = new URLSearchParams({ host: hub.url, ...(wasm && { wasm }) });
      check(t, await answerOf(`${page.url}/?${asked}`), expected);
    });
  }
});

describe('a program in', () => {
  for (const { name, build: building, command } of PROGRAMS) {
    test(name, { skip: missing(command) }, async (t) => {
      const folder = consumerOf(name, { from: ['app'] });
      if (building) await run(building, folder);
      check(t, JSON.parse(await run(command, folder, { args: [hub.url] })), HERE);
    });
  }

  test('workerd', async (t) => {
    const folder = consumerOf('workerd', { from: ['app'] });
    const dist = path.join(folder, 'dist');
    await build({
      entryPoints: [path.join(folder, 'workerd.js')],
      bundle: true,
      format: 'esm',
      outdir: dist,
      conditions: ['workerd', 'worker', 'browser'],
      loader: { '.wasm': 'copy' },
    });
    const worker = new Miniflare({
      modules: true,
      rootPath: dist,
      modulesRoot: dist,
      scriptPath: 'workerd.js',
      modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
      compatibilityDate: '2026-07-01',
    });
    t.after(() => worker.dispose());
    const response = await worker.dispatchFetch(`http://worker/?${new URLSearchParams({ host: hub.url })}`);
    check(t, await response.json(), HERE);
  });
});

describe('a test of', () => {
  for (const { name, command, dom, error } of RUNNERS) {
    test(name, async (t) => {
      const folder = consumerOf(name, { from: ['app'] });
      const variables = { HUB: hub.url, NODE_OPTIONS: '--experimental-vm-modules --no-warnings' };
      const ran = run(command, folder, { variables });
      if (error) return assert.rejects(ran, error);
      const printed = await ran;
      const answer = JSON.parse(/^ANSWER (.*)$/m.exec(printed)[1]);
      assert.equal(answer.dom, dom);
      check(t, answer, HERE);
    });
  }
});

test('a page that imports the package from another origin', async (t) => {
  const folder = consumerOf('plain', { from: ['app'] });
  const there = await serveFolder(path.join(folder, 'node_modules/pilotlight'));
  t.after(there.close);
  const map = JSON.stringify({ imports: { pilotlight: `${there.url}/web.js` } });
  const html = `<!doctype html><script type="importmap">${map}</script><script type="module" src="page.js"></script>`;
  writeFileSync(path.join(folder, 'index.html'), html);
  const here = await serveFolder(folder);
  t.after(here.close);
  check(t, await answerOf(`${here.url}/?${new URLSearchParams({ host: hub.url })}`), IN_WORKER);
});

describe('a server of', () => {
  for (const { name, from, packages, routes, build: command, serve } of SERVERS) {
    test(name, async (t) => {
      const folder = consumerOf(name, { from, packages });
      if (command) await run(command, folder);
      const url = await start(t, serve, folder);
      const asked = new URLSearchParams({ host: hub.url });
      check(t, await answerOf(`${url}/?${asked}`), IN_WORKER);
      for (const route of routes) {
        const response = await fetch(`${url}/api/${route}?${asked}`);
        assert.equal(response.status, 200, route);
        check(t, await response.json(), HERE);
      }
    });
  }
});

test('README.md has the versions that are installed', () => {
  const readme = readFileSync(path.join(CONSUMERS, 'README.md'), 'utf8');
  const told = readme.match(/^\| `.*$/gm).map((row) => row.split('|').map((cell) => cell.trim().replaceAll('`', '')));
  const pinned = readdirSync(CONSUMERS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(path.join(CONSUMERS, entry.name, 'package-lock.json')))
    .flatMap(({ name }) => pinsOf(name));
  assert.deepEqual(told.map(([, ...cells]) => cells.slice(0, 3).join(' ')).sort(), [...pinsOf(''), ...pinned].sort());
});

function pinsOf(folder) {
  const manifest = JSON.parse(readFileSync(path.join(CONSUMERS, folder, 'package.json'), 'utf8'));
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const pins = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
  return pins.map(([name, version]) => `${name} ${version} ${folder}`);
}
