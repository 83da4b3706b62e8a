// The page of images by keyboard, on a phone, in words, and without a network.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { persistentProfile, startSite } from './harness.mjs';
import {
  answered,
  button,
  cameIn,
  DRAWN,
  draw,
  fresh,
  heading,
  heard,
  load,
  names,
  open,
  page,
  ready,
  search,
  setUp,
  tiles,
  use,
} from './images-page.mjs';

setUp();

test('everything on the page can be done by keyboard alone', async () => {
  await open();
  const focused = () => page.evaluate(() => document.activeElement.outerHTML.slice(0, 160));
  const ringed = () =>
    page.evaluate(
      () =>
        getComputedStyle(document.activeElement).outlineStyle !== 'none' ||
        document.activeElement.matches('.image-spot, .segments input'),
    );
  async function tabTo(selector) {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab');
      assert.ok(await ringed(), `no focus ring on ${await focused()}`);
      if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    }
    assert.fail(`Tab never reached ${selector}; the focus is on ${await focused()}`);
  }
  await tabTo('.segments input');
  await tabTo('button[type=submit]');
  await page.keyboard.press('Enter');
  await ready();
  await tabTo('.add-actions button:last-child');
  await page.keyboard.press('Enter');
  await cameIn(`${DRAWN} images came in.`);
  await tabTo('#images-search');
  await page.keyboard.type('a purple heart');
  await answered('a purple heart');

  await tabTo('.tile');
  const shown = await names();
  const label = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.ok((await label()).startsWith(`${shown[0]}, score 0.`), await label());
  await page.keyboard.press('ArrowRight');
  assert.ok((await label()).startsWith(shown[1]));
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  assert.ok((await label()).startsWith(shown[1]));
  await page.keyboard.press('End');
  assert.ok((await label()).startsWith(shown.at(-1)));
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: shown[0] }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.ok((await label()).startsWith(shown[0]));

  await tabTo('.image-spot');
  const first = await label();
  assert.equal(await page.locator('.map-callout span').innerText(), first);
  for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown']) await page.keyboard.press(key);
  const at = await label();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.getByRole('dialog', { name: at }).waitFor();
  await page.locator('.bars li').first().waitFor();
  await tabTo('.image-actions .button');
  await page.keyboard.press('Enter');
  await page.locator('.like', { hasText: at }).waitFor();
  await page.waitForFunction(() => document.activeElement.id === 'images-title');
  assert.deepEqual(heard, []);
});

test('on a phone of 360 pixels nothing scrolls sideways, the dialog neither', async () => {
  await fresh({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  await load();
  await draw();
  await search('three red circles');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await tiles().first().tap();
  await page.locator('.bars li').first().waitFor();
  const dialog = await page
    .getByRole('dialog')
    .evaluate(({ scrollWidth, clientWidth, clientHeight }) => ({ scrollWidth, clientWidth, clientHeight }));
  assert.equal(dialog.scrollWidth, dialog.clientWidth);
  assert.ok(dialog.clientWidth <= 360 && dialog.clientHeight <= 740, JSON.stringify(dialog));
  assert.deepEqual(heard, []);
});

test('with the network cut the library is there, and searched in words', async () => {
  const profile = await persistentProfile();
  const own = await startSite();
  let running;
  try {
    running = await profile.open();
    use(await running.newPage());
    await page.goto(`${own.url}/#/images`);
    await button('Load the model').click();
    await ready();
    await draw();
    const cachesCore = () =>
      page.evaluate(async () => {
        const [name] = await caches.keys();
        return name !== undefined && (await (await caches.open(name)).keys()).some(({ url }) => url.endsWith('.wasm'));
      });
    while (!(await cachesCore())) await page.waitForTimeout(50);
    const kept = await page.evaluate(async () =>
      (await (await caches.open((await caches.keys())[0])).keys()).map(({ url }) => url),
    );
    assert.deepEqual(
      kept.filter((url) => url.includes('/models/')),
      [],
      'the model is kept by Pilotlight, once',
    );
    await running.close();
    await own.close();

    running = await profile.open();
    await running.setOffline(true);
    use(await running.newPage());
    await page.goto(`${own.url}/#/images`);
    await ready();
    assert.match(await page.locator('.ready').innerText(), /from this browser’s store/);
    await heading(`${DRAWN} images`).waitFor();
    assert.match((await search('three red circles'))[0], /three \w+ red circles/);
  } finally {
    await running?.close();
    await own.close();
    await profile.remove();
  }
});

test('images have words, all controls have names, and the progress is said at its quarters', async () => {
  await load();
  await page.evaluate(() => {
    window.said = [];
    new MutationObserver(() => {
      const text = document.querySelector('.intake [role=status]')?.textContent;
      if (text && text !== window.said.at(-1)) window.said.push(text);
    }).observe(document.querySelector('.add'), { subtree: true, childList: true, characterData: true });
  });
  await draw();
  assert.deepEqual(await page.evaluate(() => window.said), [
    ...[0, 25, 50, 75].map((share) => `${share} percent of ${DRAWN} images`),
    `${DRAWN} images came in.`,
  ]);
  await search('three red circles');
  await tiles().first().click();
  await page.locator('.bars li').first().waitFor();
  const unnamed = await page.evaluate(() => {
    const named = (element) =>
      element.getAttribute('aria-label') ||
      element.getAttribute('alt') === '' ||
      element.alt ||
      element.labels?.length ||
      element.innerText?.trim();
    const all = document.querySelectorAll(
      'main img, main button, main input, main textarea, main [role=option], main [role=listbox], main [role=progressbar], main dialog',
    );
    return [...all]
      .filter((element) => !element.closest('[hidden], [aria-hidden=true]') && !named(element))
      .map((element) => element.outerHTML);
  });
  assert.deepEqual(unnamed, []);
  assert.deepEqual(heard, []);
});
