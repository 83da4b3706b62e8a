// Pages that are allowed little: content security policies, cross-origin isolation, sandboxes, and the pages of an extension.
// Every answer of the server has the policy, so the workers have it too, and both report what it refuses.
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startHub } from '../hub/hub.mjs';
import { tolerance } from '../package/support/goldens.mjs';
import { launch, maxAbsError, packageFolder, persistentProfile, startBench, tinyGolden, until } from './harness.mjs';

const MODEL = 'test/bert-tiny-mean';
const EMBED_HERE = fileURLToPath(new URL('embed-here.mjs', import.meta.url));
const EXTENSION = fileURLToPath(new URL('extension', import.meta.url));

let browser;
/** The model's host, which is of another origin than the page. */
let hub;
let cases;
let site;
/** The directives that refused something, in pages and in workers. */
let refused;
let reports;
before(async () => {
  const { folder, expected } = await tinyGolden('bert-tiny-mean');
  cases = expected.cases;
  browser = await launch();
  hub = await startHub({ models: { [MODEL]: folder } });
  reports = createServer(async (request, response) => {
    const parts = await request.toArray();
    response.writeHead(204).end();
    refused.push(JSON.parse(Buffer.concat(parts))['csp-report']['effective-directive']);
  });
  await new Promise((resolve) => reports.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await browser?.close();
  await hub?.close();
  reports?.close();
  reports?.closeAllConnections();
});
beforeEach(() => {
  refused = [];
});
afterEach(() => site?.close());

/** The query of a page, with the address of the package's script and the options of the load. */
const asked = (script = './package/web.js', options = { store: false }) => {
  const request = { script, model: MODEL, host: hub.url, options, texts: cases.map(({ text }) => text) };
  return new URLSearchParams({ request: JSON.stringify(request) });
};

/** Embeds in a page that is served with these headers, as is all that it fetches of its server. `script` is the package's. */
async function embedUnder(headers, script, options) {
  const files = { '/embed-here.mjs': EMBED_HERE, '/page.html': path.join(EXTENSION, 'page.html') };
  site = await startBench({}, { files, headers });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${site.url}/page.html?${asked(script, options)}`);
    return await page.evaluate(() => window.answer);
  } finally {
    await context.close();
  }
}

function assertRight({ error, vectors }) {
  assert.equal(error, undefined, error?.message);
  const worst = maxAbsError(
    vectors,
    cases.map(({ embedding }) => embedding),
  );
  assert.ok(worst <= tolerance('bert-tiny-mean'), `max abs error ${worst}`);
}

/** Embeds under the policy that the README gives, with other directives put over its own. */
function embedUnderPolicy(changes = {}, script = undefined) {
  const directives = {
    'default-src': "'none'",
    'script-src': "'self' 'wasm-unsafe-eval'",
    'worker-src': "'self'",
    'connect-src': `'self' ${hub.url}`,
    'report-uri': `http://127.0.0.1:${reports.address().port}/`,
    ...changes,
  };
  const policy = Object.entries(directives)
    .filter(([, sources]) => sources !== undefined)
    .map((directive) => directive.join(' '))
    .join('; ');
  return embedUnder(() => ({ 'Content-Security-Policy': policy }), script);
}

test('the policy of the README is enough: the page’s own scripts and workers, WebAssembly, and the model’s host', async () => {
  const answer = await embedUnderPolicy();
  assertRight(answer);
  assert.equal(answer.backend.worker, true, answer.backend.reason);
  assert.deepEqual(refused, []);
});

test('without worker-src a worker is what script-src allows', async () => {
  const answer = await embedUnderPolicy({ 'worker-src': undefined });
  assertRight(answer);
  assert.equal(answer.backend.worker, true, answer.backend.reason);
  assert.deepEqual(refused, []);
});

test('a package of another origin is named in the policy, and its worker is a blob', async () => {
  const other = await startBench({}, { headers: () => ({ 'Access-Control-Allow-Origin': '*' }) });
  try {
    const answer = await embedUnderPolicy(
      {
        'script-src': `'self' ${other.url} 'wasm-unsafe-eval'`,
        'worker-src': `blob: ${other.url}`,
        'connect-src': `${other.url} ${hub.url}`,
      },
      `${other.url}/package/web.js`,
    );
    assertRight(answer);
    assert.equal(answer.backend.worker, true, answer.backend.reason);
    assert.deepEqual(refused, []);
  } finally {
    await other.close();
  }
});

test('where the policy allows no worker, the page’s thread computes, and backend says why', async () => {
  const answer = await embedUnderPolicy({ 'worker-src': "'none'" });
  assertRight(answer);
  assert.equal(answer.backend.worker, false);
  assert.match(
    answer.backend.reason,
    /on the calling thread because the worker failed: its script could not be loaded\.$/,
  );
  await until('the refusal is reported', () => refused.includes('worker-src'));
});

for (const [what, directive, sources, code] of [
  ['WebAssembly', 'script-src', () => "'self'", 'BACKEND_UNAVAILABLE'],
  ['the page’s own server', 'connect-src', () => hub.url, 'FETCH_FAILED'],
  ['the model’s host', 'connect-src', () => "'self'", 'FETCH_FAILED'],
])
  test(`a policy without ${what} in ${directive} is a typed error, and is reported`, async () => {
    const { error } = await embedUnderPolicy({ [directive]: sources() });
    assert.equal(error?.code, code, error?.message);
    await until('the refusal is reported', () => refused.includes(directive));
  });

for (const embedder of ['require-corp', 'credentialless']) {
  const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': embedder };

  test(`a page that is isolated by ${embedder} has a worker, and a model of another origin`, async () => {
    const answer = await embedUnder(() => isolation);
    assertRight(answer);
    assert.deepEqual([answer.isolated, answer.backend.worker], [true, true], answer.backend.reason);
  });

  test(`where only the page has ${embedder}, its thread computes, and backend says why`, async () => {
    const answer = await embedUnder((url) => (url.startsWith('/page.html') ? isolation : {}));
    assertRight(answer);
    assert.deepEqual([answer.isolated, answer.backend.worker], [true, false]);
    assert.match(answer.backend.reason, /because the worker failed: its script could not be loaded\.$/);
  });
}

test('a page in a sandbox, which gets neither locks nor IndexedDB nor workers, computes with a model in memory', async () => {
  // Its server's files are of another origin than the page.
  const open = { 'Access-Control-Allow-Origin': '*' };
  const sandbox = { ...open, 'Content-Security-Policy': 'sandbox allow-scripts' };
  const answer = await embedUnder((url) => (url.startsWith('/page.html') ? sandbox : open), undefined, {});
  assertRight(answer);
  assert.equal(answer.backend.worker, false);
  assert.match(answer.backend.reason, /on the calling thread because no worker could be started/);
});

test('an extension embeds from its own files: its page in a worker, its service worker on its own thread', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-extension-'));
  const profile = await persistentProfile();
  try {
    await cp(EXTENSION, folder, { recursive: true });
    await cp(EMBED_HERE, path.join(folder, 'embed-here.mjs'));
    await cp(packageFolder, path.join(folder, 'package'), { recursive: true, dereference: true });
    const context = await profile.open({
      args: [`--load-extension=${folder}`, `--disable-extensions-except=${folder}`],
      ignoreDefaultArgs: ['--disable-extensions'],
    });
    const background = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
    const page = await context.newPage();
    await page.goto(new URL(`page.html?${asked()}`, background.url()).href);
    const inPage = await page.evaluate(() => window.answer);
    assertRight(inPage);
    assert.equal(inPage.backend.worker, true, inPage.backend.reason);
    const inBackground = await background.evaluate(
      (request) => globalThis.embed(request),
      JSON.parse(asked().get('request')),
    );
    assertRight(inBackground);
    assert.equal(inBackground.backend.worker, false);
    await context.close();
  } finally {
    await profile.remove();
    await rm(folder, { recursive: true, force: true });
  }
});
