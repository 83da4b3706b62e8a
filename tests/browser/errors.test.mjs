import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { beforeWorkers, demo, launch, MINILM, startSite } from './harness.mjs';

let browser;
let site;
let context;
let page;

before(async () => {
  browser = await launch();
  site = await startSite({
    'test/gpt2': { 'config.json': '{"model_type":"gpt2","architectures":["GPT2LMHeadModel"]}' },
  });
});
after(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  site.setFaults([]);
  context = await browser.newContext();
  page = await demo.open(context, site.url);
});
afterEach(() => context.close());

/** The problem that the page shows: its title, what to do, the library's code, and the first button. */
async function assertProblem({ title, advice, code, button }) {
  const alert = demo.problem(page);
  await alert.waitFor();
  assert.equal(await alert.getByRole('heading').innerText(), title);
  assert.match(await alert.innerText(), advice);
  assert.equal(await page.locator('.problem').getAttribute('data-code'), code);
  assert.equal(await page.locator('.problem-actions button').first().innerText(), button);
}

const button = (name) => page.getByRole('button', { name, exact: true });

/** The same page works once the cause is gone. */
async function assertRecovers(name = 'Try again') {
  site.setFaults([]);
  await button(name).click();
  await demo.ready(page);
  await demo.embedded(page);
}

async function closedPort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

test('a host that is down is said, and another host can be given', async () => {
  const host = await closedPort();
  await demo.load(page, { host });
  await assertProblem({
    title: 'The model host could not be reached',
    advice: new RegExp(`no answer from ${host}`),
    code: 'FETCH_FAILED',
    button: 'Try again',
  });
  await button('Change settings').click();
  await demo.load(page, { host: '/hub' });
  await demo.ready(page);
});

test('a model that the host does not have is said with its name', async () => {
  await demo.load(page, { model: 'nobody/nothing' });
  await assertProblem({
    title: 'The host does not have this model',
    advice: /nobody\/nothing/,
    code: 'FETCH_FAILED',
    button: 'Change settings',
  });
  await button('Change settings').click();
  await demo.load(page, { model: MINILM });
  await demo.ready(page);
});

test('a web page in place of the files is told from a model', async () => {
  site.setFaults([{ fault: 'html' }]);
  await demo.load(page);
  await assertProblem({
    title: 'The host answered with a web page',
    advice: /sign-in page/,
    code: 'FETCH_FAILED',
    button: 'Try again',
  });
  await assertRecovers();
});

test('a host in trouble is said', async () => {
  site.setFaults([{ file: /config\.json|safetensors/, fault: 'status', value: 503 }]);
  await demo.load(page);
  await assertProblem({
    title: 'The model could not be fetched',
    advice: /What arrived is kept/,
    code: 'FETCH_FAILED',
    button: 'Try again',
  });
  await assertRecovers();
});

test('damaged weights are said', async () => {
  site.setFaults([{ file: 'model.safetensors', fault: 'body', value: Buffer.alloc(100_000, 0x7f) }]);
  await demo.load(page);
  await assertProblem({
    title: 'The model’s files are damaged',
    advice: /nothing was kept/,
    code: 'INTEGRITY',
    button: 'Try again',
  });
  await assertRecovers();
});

test('a bit that flipped on the way is found, said, and does not stay', async () => {
  site.setFaults([{ file: 'model.safetensors', fault: 'flip', value: 50_000_001 }]);
  await demo.load(page);
  await assertProblem({
    title: 'The model’s files are damaged',
    advice: /nothing was kept/,
    code: 'INTEGRITY',
    button: 'Try again',
  });
  await assertRecovers();
});

test('a model of another kind is said', async () => {
  await demo.load(page, { model: 'test/gpt2' });
  await assertProblem({
    title: 'This model is of a kind that Pilotlight cannot run',
    advice: /BERT-type/,
    code: 'UNSUPPORTED_MODEL',
    button: 'Change settings',
  });
});

test('being offline without a stored model is said', async () => {
  await context.setOffline(true);
  await demo.load(page);
  await assertProblem({ title: 'You are offline', advice: /Connect once/, code: 'FETCH_FAILED', button: 'Try again' });
  await context.setOffline(false);
  await assertRecovers();
});

test('a full disk is said, and the model can be used without keeping it', async () => {
  const devtools = await context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: site.url, quotaSize: 4_000_000 });
  await demo.load(page);
  await assertProblem({
    title: 'This browser has no space for the model',
    advice: /It takes 24\.1 MB.*Delete models.*without keeping it/,
    code: 'QUOTA_EXCEEDED',
    button: 'Try again',
  });
  await assertRecovers('Load without keeping it');
});

test('a cancelled load stops, says so calmly, and can be taken up again', async () => {
  site.setFaults([{ file: 'model.safetensors', fault: 'drip', value: 10e6 }]);
  await demo.load(page);
  await page.getByText(/MB of/).waitFor();
  await button('Cancel').click();
  await assertProblem({
    title: 'Loading was cancelled',
    advice: /What arrived is kept/,
    code: 'ABORTED',
    button: 'Try again',
  });
  assert.equal(await page.locator('.problem').getAttribute('data-calm'), 'true');
  await assertRecovers();
});

test('a trap inside the library is said, and a reload helps', async () => {
  // The core's embed traps in the worker, as a defect would make it: everything else is the real thing.
  const breakEmbed = () => {
    const streaming = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = async (...args) => {
      const { instance, module } = await streaming.apply(WebAssembly, args);
      const exports = { ...instance.exports };
      for (const name of Object.keys(exports).filter((name) => /_embed$/.test(name))) {
        exports[name] = () => {
          throw new WebAssembly.RuntimeError('unreachable');
        };
      }
      return { instance: { exports }, module };
    };
  };
  await beforeWorkers(page, breakEmbed);
  await page.reload();
  await demo.load(page);
  await assertProblem({
    title: 'Something broke inside Pilotlight',
    advice: /stored model is not lost/,
    code: 'INTERNAL',
    button: 'Reload the page',
  });
  await page.unrouteAll();
  await button('Reload the page').click();
  await demo.ready(page);
  await demo.embedded(page);
});

test('settings that make no sense are said', async () => {
  await demo.load(page, { host: 'http://' });
  await demo.problem(page).waitFor();
  assert.match(await page.locator('.problem').getAttribute('data-code'), /INVALID_INPUT|FETCH_FAILED/);
  await button('Change settings').click();
  await demo.load(page, { host: '/hub' });
  await demo.ready(page);
});
