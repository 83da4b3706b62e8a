import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { complaints, demo, launch, minilmGolden, startSite } from './harness.mjs';

let browser;
let site;
let context;
let page;
let heard;

before(async () => {
  browser = await launch();
  site = await startSite();
});
after(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  site.setFaults([]);
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  page = await context.newPage();
  heard = complaints(page);
});
afterEach(() => context.close());

const rows = () => page.locator('.result-text').allInnerTexts();
const searchBox = () => page.getByRole('searchbox');

test('the model loads with a progress that only grows, from the network at first and from the store afterwards', async () => {
  // Slow enough that a person, and this test, sees the bar move.
  site.setFaults([{ file: 'model.safetensors', fault: 'drip', value: 60e6 }]);
  await page.addInitScript(() => {
    const seen = [];
    window.seenProgress = seen;
    new MutationObserver(() => {
      const bar = document.querySelector('[role=progressbar]');
      const now = bar?.getAttribute('aria-valuenow');
      if (now) seen.push({ percent: Number(now), words: bar.closest('.loading').innerText });
    }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  await page.goto(site.url);
  await demo.load(page, { device: 'CPU' });
  await demo.ready(page);
  const seen = await page.evaluate(() => window.seenProgress);
  const percents = seen.map(({ percent }) => percent);
  assert.ok(new Set(percents).size >= 5, `percents shown: ${[...new Set(percents)].join(' ')}`);
  assert.deepEqual(
    percents,
    [...percents].sort((a, b) => a - b),
    'the bar went back',
  );
  assert.match(seen.find(({ percent }) => percent > 10).words, /\d MB of \d+\.\d MB\s+from this server/);
  assert.match(await page.locator('.facts').innerText(), /MB from this server in/);
  await demo.embedded(page);

  // Nothing of the model can be had; only what the branch stands for is asked, after the first answer.
  site.setFaults([{ file: /\.(json|safetensors)$/, fault: 'status', value: 503 }]);
  await page.reload();
  await demo.ready(page);
  await demo.embedded(page);
  assert.match(await page.locator('.facts').innerText(), /MB from this browser’s store in/);
  assert.deepEqual(heard, []);
});

test('a search ranks by meaning, shows scores, moves no word off the machine, and an edited list is embedded anew', async () => {
  await page.goto(site.url);
  await demo.load(page);
  await demo.ready(page);
  await demo.embedded(page);
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));

  await searchBox().fill('trouble with money');
  await page.getByText('Nearest first').waitFor();
  const money = /card was charged|refund|interest rate|rent goes up/;
  assert.ok((await rows()).slice(0, 4).filter((text) => money.test(text)).length >= 3, (await rows()).join('\n'));
  const scores = (await page.locator('.result-score').allInnerTexts()).map((text) =>
    Number.parseFloat(text.replace(/[^\d.-]/g, '')),
  );
  assert.equal(scores.length, 10);
  assert.deepEqual(
    scores,
    [...scores].sort((a, b) => b - a),
  );
  assert.ok(scores[0] > 0.25 && scores[0] <= 1, String(scores[0]));
  const widths = await page
    .locator('.result-bar > span')
    .evaluateAll((bars) =>
      bars.map((bar) => bar.getBoundingClientRect().right - bar.parentElement.getBoundingClientRect().left),
    );
  assert.ok(widths[0] > 2 * widths[9], `bars: ${widths.map(Math.round).join(' ')}`);
  assert.equal(await page.locator('.map-query').count(), 1);
  assert.equal(await page.locator('.map-near').count(), 3);
  assert.match(await page.locator('.figures').innerText(), /Last search\s+\d+(\.\d)? ms\s+5 tokens/);

  await page.getByRole('button', { name: 'Edit sentences' }).click();
  const [one, two] = (await minilmGolden()).cases.slice(20);
  const long = 'word '.repeat(400).trim();
  await page
    .getByRole('textbox', { name: 'One sentence a line' })
    .fill(`${one.text}\n\n${two.text}\n${one.text}\n${long}`);
  await page.getByRole('button', { name: 'Use these' }).click();
  await demo.embedded(page, 3);
  await searchBox().fill('');
  await page.getByRole('heading', { name: '3 sentences' }).waitFor();
  assert.deepEqual(await page.locator('.result-tokens').allInnerTexts(), [
    `${one.ids.length} tokens`,
    `${two.ids.length} tokens`,
    '256 tokens · cut at 256',
  ]);
  assert.deepEqual(await rows(), [one.text, two.text, long]);
  assert.equal(await page.locator('.map-point').count(), 3);
  assert.deepEqual(requests, []);
  assert.deepEqual(heard, []);
});

test('hovering a row shows its point, and hovering a point shows its row', async () => {
  await page.goto(site.url);
  await demo.load(page);
  await demo.embedded(page);
  const [first] = await rows();
  await page.locator('.result').first().hover();
  assert.equal(await page.locator('.map-callout').innerText(), first);
  assert.equal(await page.locator('.map-point[data-active=true]').getAttribute('aria-label'), first);
  const point = page.locator('.map-point').nth(3);
  const box = await point.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const fourth = (await rows())[3];
  assert.equal(await page.locator('.result[data-active=true] .result-text').innerText(), fourth);
});

test('everything can be done by keyboard alone', async () => {
  await page.goto(site.url);
  const focused = () =>
    page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText ?? '');
  const hasRing = () =>
    page.evaluate(
      () =>
        getComputedStyle(document.activeElement).outlineStyle !== 'none' ||
        document.activeElement.matches('.map-point') ||
        document.activeElement.matches('.segments input'),
    );
  async function tabTo(wanted) {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab');
      assert.ok(await hasRing(), `no focus ring on ${await focused()}`);
      if (await page.evaluate((selector) => document.activeElement.matches(selector), wanted)) return;
    }
    assert.fail(`Tab never reached ${wanted}; the focus is on ${await focused()}`);
  }

  // `load` does not wait for React, and a Tab into an empty page is lost.
  await page.getByText('Skip to the search').waitFor({ state: 'attached' });
  await page.keyboard.press('Tab');
  assert.match(await focused(), /Skip to the search/);
  await tabTo('.segments input');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.value), 'cpu');
  await tabTo('button[type=submit]');
  await page.keyboard.press('Enter');
  await demo.ready(page);
  await demo.embedded(page);

  await tabTo('#search');
  // The text is put in as a whole, so that no list of half a query is taken for its list.
  await page.keyboard.insertText('something to eat');
  await page.getByText('Nearest first').waitFor();
  await tabTo('.result button');
  const picked = (await rows())[0];
  await page.keyboard.press('Enter');
  assert.equal(await searchBox().inputValue(), picked);
  await page
    .getByRole('status')
    .filter({ hasText: `Nearest: ${picked} Score 1.00.` })
    .waitFor({ state: 'attached' });

  await tabTo('.map-point');
  const first = await focused();
  assert.equal(await page.locator('.map-callout').count(), 1);
  await page.keyboard.press('ArrowRight');
  const second = await focused();
  assert.notEqual(second, first);
  assert.ok(second.startsWith(await page.locator('.map-callout').innerText()));
  await page.keyboard.press('Enter');
  assert.ok(second.startsWith(await searchBox().inputValue()));

  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await tabTo('.footer button');
  await page.keyboard.press('Enter');
  await page.getByText('Copied as JSON.').waitFor();
  const report = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
  assert.equal(typeof report.version, 'string');
  assert.deepEqual(heard, []);
});

test('another host can be named in the address', async () => {
  const host = `${site.url}/hub`;
  await page.goto(`${site.url}/?host=${encodeURIComponent(host)}`);
  assert.equal(await page.getByLabel('Model host').inputValue(), host);
  await page.goto(site.url);
  assert.equal(await page.getByLabel('Model host').inputValue(), '/hub');
});

test('a chosen theme stays after a reload', async () => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(site.url);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  const dark = await background();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await background(), dark);
});

test('the heading of a page that a link led to has the focus, with a ring only for who came by keyboard', async () => {
  await page.goto(site.url);
  const link = (name) => page.getByRole('link', { name, exact: true });
  const focusOn = async (name) => {
    await page.waitForFunction((name) => document.activeElement.textContent === name, name);
    return page.evaluate(() => [
      document.activeElement.localName,
      getComputedStyle(document.activeElement).outlineStyle,
    ]);
  };
  // The browser draws a ring where nothing had the focus before: after a move through its history, for one.
  await page.evaluate(() => {
    location.hash = '#/models';
  });
  assert.deepEqual(await focusOn('Models on this device'), ['h1', 'none']);
  await link('Digits').click();
  assert.deepEqual(await focusOn('Handwritten digits, made in this tab'), ['h1', 'none']);
  await page.goBack();
  assert.deepEqual(await focusOn('Models on this device'), ['h1', 'none']);
  await link('Search').focus();
  await page.keyboard.press('Enter');
  assert.deepEqual(await focusOn('Search by meaning, inside this tab'), ['h1', 'solid']);
  // The next click takes the ring away again, in a browser too where a click gives a link no focus.
  await page.evaluate(() => document.addEventListener('mousedown', (event) => event.preventDefault()));
  await link('Models').click();
  assert.deepEqual(await focusOn('Models on this device'), ['h1', 'none']);
  assert.deepEqual(heard, []);
});

test('the former address of the images leads to them, on a first visit and within the page', async () => {
  await page.goto(`${site.url}/#/pictures`);
  await page.getByRole('heading', { name: 'An image library inside this tab' }).waitFor();
  assert.equal(new URL(page.url()).hash, '#/images');
  assert.equal(await page.getByRole('link', { name: 'Images', exact: true }).getAttribute('aria-current'), 'page');

  await page.getByRole('link', { name: 'Models', exact: true }).click();
  await page.getByRole('heading', { name: 'Models on this device' }).waitFor();
  await page.evaluate(() => {
    location.hash = '#/pictures';
  });
  await page.getByRole('heading', { name: 'An image library inside this tab' }).waitFor();
  assert.equal(new URL(page.url()).hash, '#/images');
  assert.deepEqual(heard, []);
});
