import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { complaints, demo, launch, MINILM, startSite, tinyGolden } from './harness.mjs';

const TINY = 'tiny/bert-tiny-mean';
const WEIGHTS = 'model.safetensors';
let browser;
let site;
let context;
let page;
let heard;

before(async () => {
  browser = await launch();
  site = await startSite({ [TINY]: (await tinyGolden('bert-tiny-mean')).folder });
});
after(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  site.setFaults([]);
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  page = await context.newPage();
  heard = complaints(page);
  await page.goto(site.url);
});
afterEach(() => context.close());

const link = (name) => page.getByRole('link', { name, exact: true });
const button = (name) => page.getByRole('button', { name });
const rows = () => page.locator('.model');
const row = (name) => rows().filter({ hasText: name });
const said = (text) => page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
const focused = (selector) => page.waitForFunction((wanted) => document.activeElement.matches(wanted), selector);
const weightBytes = () =>
  site.requests.filter(({ url }) => url.endsWith(WEIGHTS)).reduce((sum, { bytes }) => sum + bytes, 0);

async function load(choice) {
  await demo.load(page, { device: 'CPU', weights: '8-bit', ...choice });
  await demo.ready(page);
}

async function loadAnother(choice) {
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await load(choice);
}

/** Requests the weights, and cancels after about `bytes` of them. */
async function breakOff(bytes) {
  site.setFaults([{ file: WEIGHTS, fault: 'stall', value: bytes }]);
  await demo.load(page, { device: 'CPU', weights: '8-bit' });
  await page.getByText(new RegExp(`^(${bytes / 1e6 - 1}|${bytes / 1e6})\\.\\d MB of`)).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await demo.problem(page).waitFor();
  site.setFaults([]);
}

/** The figures of the plan, by their label. */
const plan = () =>
  page
    .locator('.plan dl > div')
    .evaluateAll((cells) =>
      Object.fromEntries(cells.map((cell) => [cell.querySelector('dt').innerText, cell.querySelector('dd').innerText])),
    );

test('what loading takes is said before it starts, follows the settings, and costs next to nothing', async () => {
  assert.equal((await plan())['To download'], '–');
  await page.getByText('It fits. Fetched once').waitFor();
  assert.deepEqual(await plan(), {
    'To download': '91.3 MB',
    'To store': '24.1 MB',
    'Already here': '0 MB',
    Memory: 'about 40 MB',
  });
  const bytes = site.requests.reduce((sum, request) => sum + request.bytes, 0);
  assert.ok(bytes < 200_000, `planning took ${bytes} bytes`);

  await page.getByText('32-bit', { exact: true }).click();
  await page.getByText('90.7 MB').waitFor();
  assert.equal((await plan())['To store'], '90.7 MB');
  assert.deepEqual(heard, []);

  // The plan is left empty without an error, which only the load reports.
  await page.getByLabel('Model', { exact: true }).fill('nobody/nothing');
  await page.waitForTimeout(1500);
  assert.deepEqual(Object.values(await plan()), ['–', '–', '–', '–']);
  assert.equal(await demo.problem(page).count(), 0);
});

test('offline the plan of a stored model is there, that of another is not, and neither makes a request', async () => {
  await load();
  await context.setOffline(true);
  const requests = [];
  // The page's own files come from its cache.
  page.on('request', (request) => request.url().includes('/assets/') || requests.push(request.url()));
  await button('Change').click();
  await page.getByText('It is on this device: loading needs no network.').waitFor();
  const { Memory, ...figures } = await plan();
  assert.deepEqual(figures, { 'To download': '0 MB', Stored: '24.1 MB', 'Already here': '24.1 MB' });
  assert.match(Memory, /^about 4\d MB$/);
  await page.getByLabel('Model', { exact: true }).fill(TINY);
  await page.waitForTimeout(1000);
  assert.equal((await plan())['To download'], '–');
  assert.deepEqual(requests, []);
  assert.deepEqual(heard, []);
});

test('a model that does not fit is said before it is fetched', async () => {
  await page.addInitScript(() => {
    navigator.storage.estimate = async () => ({ usage: 10e6, quota: 20e6 });
  });
  await page.reload();
  await page.locator('.plan').getByText('It does not fit. The store needs 25 MB more, and 10 MB are left.').waitFor();
  await page.locator('.plan').getByRole('link', { name: 'See what is stored' }).click();
  await page.getByText('This site uses 10.0 MB of the 20.0 MB that the browser allows it.').waitFor();
  const [bar, used] = await page
    .locator('.storage-bar')
    .evaluate((meter) => [meter.offsetWidth, meter.firstElementChild.offsetWidth]);
  assert.ok(Math.abs(used / bar - 0.5) < 0.02, `${used} of ${bar}`);
});

test('without a model the page says so and leads to the first load', async () => {
  await link('Models').click();
  await page.getByText('No model is stored in this browser').waitFor();
  assert.equal(await page.title(), 'Pilotlight: models on this device');
  assert.equal(await rows().count(), 0);
  await link('Load a model').click();
  await button('Load the model').waitFor();
  assert.deepEqual(heard, []);
});

test('every stored model is a row with its figures, and its bar is its share', async () => {
  await load();
  await link('Models').click();
  await page.getByText('1 stored model').waitFor();
  const text = await rows().innerText();
  assert.match(text, /sentence-transformers\/all-MiniLM-L6-v2\s*in use/);
  assert.match(text, /24\.5 MB/);
  assert.match(text, /Weights\s+8-bit\s+From\s+this server\s+Version\s+main at [0-9a-f]{7}\s+Last used\s+just now/);
  assert.match(text, /Checked when it was fetched: the SHA-256 digests/);
  assert.match(await page.locator('.storage').innerText(), /24\.5 MB\s+in 1 model/);
  assert.match(
    await page.getByRole('meter').getAttribute('aria-valuetext'),
    /^This site uses \d+\.\d MB of the \d+\.\d (MB|GB) that/,
  );

  await link('Search').click();
  await loadAnother({ weights: '32-bit' });
  await loadAnother({ model: TINY, weights: '32-bit' });
  await link('Models').click();
  await page.getByText('3 stored models').waitFor();
  const shares = await page
    .locator('.model-bar')
    .evaluateAll((bars) => bars.map((bar) => bar.firstElementChild.offsetWidth / bar.offsetWidth));
  for (const [i, share] of [0.79, 0.21, 0].entries()) assert.ok(Math.abs(shares[i] - share) < 0.02, `bars: ${shares}`);
  assert.match(await row('bert-tiny-mean').innerText(), /in use/);
  assert.equal(await page.getByText('in use').count(), 1);
  assert.deepEqual(heard, []);
});

test('models are deleted by keyboard: asked first, said afterwards, with the focus on the next row; the next load fetches again', async () => {
  await load();
  await loadAnother({ model: TINY, weights: '32-bit' });
  await link('Models').click();
  await page.getByText('2 stored models').waitFor();

  await button('Delete all-MiniLM-L6-v2, 8-bit weights').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('group', { name: /^Delete all-MiniLM-L6-v2, 8-bit weights \(24\.5 MB\), for good\?/ }).waitFor();
  await focused('.confirm button');
  assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Keep it');
  await page.keyboard.press('Escape');
  await focused('.model:first-child button');
  assert.equal(await rows().count(), 2);
  await page.keyboard.press('Enter');
  await focused('.confirm button');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await said('all-MiniLM-L6-v2 was deleted: 24.5 MB are free again.');
  await focused('.model');
  assert.match(await page.evaluate(() => document.activeElement.innerText), /bert-tiny-mean/);
  await page.getByText('1 stored model').waitFor();

  await button('Delete bert-tiny-mean').focus();
  await page.keyboard.press('Enter');
  await page.getByText('It goes on working in this tab').waitFor();
  await focused('.confirm button');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('No model is stored').waitFor();
  await focused('#stored-models');

  // A deleted model is not fetched again unasked.
  const before = weightBytes();
  await page.goto(site.url);
  await page.reload();
  await page.getByText('It fits').waitFor();
  assert.ok(weightBytes() - before < 1e6);
  await load();
  assert.ok(weightBytes() - before > 90e6);
  assert.deepEqual(heard, []);
});

test('a download that broke off is shown as one, and goes on where it was', async () => {
  await breakOff(40e6);
  await page.getByText('What arrived is kept').waitFor();
  await link('Models').click();
  const half = row('Half downloaded');
  await half.waitFor();
  assert.match(
    await half.locator('.model-note').innerText(),
    /^Half downloaded, (9|10)\.\d MB; the next load goes on with it\.$/,
  );
  assert.doesNotMatch(await half.innerText(), /Checked/);
  await link('Search').click();
  await button('Change settings').click();
  await page.getByText('A download broke off; loading goes on with what is here.').waitFor();
  const { 'To download': rest, 'Already here': here } = await plan();
  assert.ok(Number.parseFloat(here) > 30 && Number.parseFloat(here) < 41, here);
  assert.ok(Math.abs(Number.parseFloat(rest) + Number.parseFloat(here) - 91.3) < 0.2, `${rest} and ${here}`);

  const asked = site.requests.length;
  site.setFaults([{ file: WEIGHTS, fault: 'drip', value: 8e6 }]);
  await button('Load the model').click();
  await page.getByRole('heading', { name: 'Fetching the rest of the model' }).waitFor();
  assert.match(await page.locator('.loading').innerText(), /from this server, going on from about 3\d MB/);

  // Its row follows the download, which can be cancelled there.
  await link('Models').click();
  await page.getByText(/On its way: [4-9]\d% is here\./).waitFor();
  await button('Cancel loading').focus();
  await page.keyboard.press('Enter');
  await row('Half downloaded').waitFor();
  await focused('.model');
  site.setFaults([]);
  await link('Search').click();
  await button('Try again').click();
  await demo.ready(page);
  // Each of the two loads asked for what was missing only.
  const from = site.requests
    .slice(asked)
    .filter(({ url }) => url.endsWith(WEIGHTS))
    .map(({ headers }) => Number(/bytes=(\d+)-/.exec(headers.range)?.[1]));
  assert.equal(from.length, 2, String(from));
  assert.ok(
    from.every((start) => start > 30e6),
    String(from),
  );
  assert.match(await page.locator('.facts').first().innerText(), /of which about \d\d MB were here/);
  await link('Models').click();
  await page.getByText('Checked when it was fetched: the SHA-256 digests').waitFor();
  assert.equal(await rows().count(), 1);
  assert.deepEqual(heard, []);
});

test('a half downloaded model can be deleted, and the plan knows', async () => {
  await breakOff(20e6);
  await link('Models').click();
  await button('Delete all-MiniLM-L6-v2').click();
  await page.getByText('The next load starts from the beginning.').waitFor();
  await button('Delete it').click();
  await page.getByText('No model is stored').waitFor();
  await link('Search').click();
  await button('Change settings').click();
  await page.getByText('It fits. Fetched once').waitFor();
  assert.equal((await plan())['Already here'], '0 MB');
});

test('the browser can be asked to keep the models, and its answer is said', async () => {
  await page.addInitScript(() => {
    let kept = false;
    navigator.storage.persisted = async () => kept;
    navigator.storage.persist = async () => (kept = sessionStorage.getItem('generous') === 'yes');
  });
  await page.goto(`${site.url}/#/models`);
  await page.reload();
  await button('Keep models when space runs low').click();
  await said('The browser may delete models when it needs room');
  await page.evaluate(() => sessionStorage.setItem('generous', 'yes'));
  await page.reload();
  await button('Keep models when space runs low').focus();
  await page.keyboard.press('Enter');
  await said('The browser now keeps this site’s storage until you delete it.');
  await page.getByRole('heading', { name: 'Kept until you delete them' }).waitFor();
  await button('Keep models when space runs low').waitFor({ state: 'detached' });
  await focused('.storage [role=status]');
});

test('a store that cannot be read is said, and can be tried again', async () => {
  await page.addInitScript(() => {
    const { getAllKeys } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.getAllKeys = function (...args) {
      if (!sessionStorage.getItem('mended')) throw new DOMException('the disk is broken', 'UnknownError');
      return getAllKeys.apply(this, args);
    };
    navigator.storage.estimate = () => Promise.reject(new TypeError('blocked'));
  });
  await page.goto(`${site.url}/#/models`);
  await page.reload();
  await demo.problem(page).getByText('What is stored could not be read').waitFor();
  assert.match(await page.locator('.problem details').textContent(), /INTERNAL .*the disk is broken/);
  await page.evaluate(() => sessionStorage.setItem('mended', 'yes'));
  await button('Try again').click();
  await page.getByText('No model is stored').waitFor();
  await page.getByText('This browser does not say how much space there is.').waitFor();
});

test('a full store names its figures and leads to the models', async () => {
  const devtools = await context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: site.url, quotaSize: 4_000_000 });
  await demo.load(page, { device: 'CPU' });
  await demo.problem(page).getByText('It takes 24.1 MB').waitFor();
  await link('See what is stored').click();
  await page.getByText('No model is stored').waitFor();
});

test('the search keeps its state while one looks at another page, and the links say where one is', async () => {
  await load();
  await demo.embedded(page);
  await page.getByRole('searchbox').fill('trouble with money');
  await page.getByText('Nearest first').waitFor();
  await button('Show all 24').click();
  const points = await page.locator('.map-point').count();
  await link('Models').evaluate((element) => {
    scrollTo(0, 300);
    element.focus({ preventScroll: true });
  });
  await page.keyboard.press('Enter');
  await focused('h1');
  assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Models on this device');
  assert.equal(await link('Models').getAttribute('aria-current'), 'page');
  assert.equal(await link('Search').getAttribute('aria-current'), null);
  assert.equal(await page.evaluate(() => scrollY), 0);
  assert.equal(await page.getByRole('searchbox').count(), 0);

  await page.goBack();
  await page.getByText('Nearest first').waitFor();
  assert.equal(await page.getByRole('searchbox').inputValue(), 'trouble with money');
  assert.equal(await page.locator('.result').count(), 24);
  assert.equal(await page.locator('.map-point').count(), points);
  assert.equal(await page.evaluate(() => scrollY), 300);
  assert.equal(await page.title(), 'Pilotlight: search by meaning, inside this tab');
  assert.equal(await link('Search').getAttribute('aria-current'), 'page');

  // The skip link belongs to the page that is shown.
  await link('Models').click();
  await link('Models').and(page.locator('[aria-current=page]')).waitFor();
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  await focused('#stored-models');
  assert.equal(await page.locator('.model').filter({ hasText: MINILM }).count(), 1);
  assert.deepEqual(heard, []);
});
