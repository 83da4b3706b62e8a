// The demo's pages, by their own buttons and fields.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { smollm2 } from '../browser/detect-page.mjs';
import { startSite } from '../browser/harness.mjs';

/** Waits until a page shows words. */
async function shows(page, words) {
  for (let tries = 0; tries < 1200; tries += 1) {
    const { isThere, problem } = await page.call((words) => {
      const alert = [...document.querySelectorAll('[role=alert]')].find((element) => element.checkVisibility());
      return { isThere: new RegExp(words).test(document.body.innerText), problem: alert?.innerText };
    }, words.source);
    if (isThere) return;
    if (problem) assert.fail(`the page says: ${problem}`);
    await pause(100);
  }
  assert.fail(`the page never showed ${words}: ${await page.call(() => document.body.innerText)}`);
}

/** Presses the visible button or label with this text, as a person does. */
async function press(page, text) {
  await page.call((text) => {
    document.querySelector('[data-pressed]')?.removeAttribute('data-pressed');
    const found = [...document.querySelectorAll('button, label, a')].find(
      (element) => element.innerText.trim() === text && element.checkVisibility(),
    );
    if (!found) throw new Error(`no button is named ${text}`);
    found.setAttribute('data-pressed', '');
  }, text);
  await page.press('[data-pressed]');
}

/** Runs a scenario on a site of its own, in a new profile. */
async function onSite({ visitor }, work, models = {}) {
  const site = await startSite(models);
  try {
    const { tab } = await visitor();
    await work({ site, open: (hash = '') => tab(`${site.url}/${hash}`) });
  } finally {
    await site.close();
  }
}

/** Opens the page of searching and loads the model. */
async function loadModel(page) {
  await shows(page, /To download/);
  await press(page, 'Load the model');
  await shows(page, /is ready/);
}

/** @type {Record<string, import('./engines.test.mjs').Scenario>} */
export const demo = {
  'the page of searching loads MiniLM and finds by meaning, that of models lists it, and that of routes learns': (
    place,
  ) =>
    onSite(place, async ({ open }) => {
      const page = await open();
      await loadModel(page);
      await shows(page, /24 sentences, /);
      await page.type('#search', 'trouble with money');
      await shows(page, /Nearest first/);
      const rows = await page.call(() =>
        [...document.querySelectorAll('.result-text')].map(({ innerText }) => innerText),
      );
      const money = /card was charged|refund|interest rate|rent goes up/;
      assert.ok(rows.slice(0, 4).filter((text) => money.test(text)).length >= 3, rows.join('\n'));
      await press(page, 'Models');
      await shows(page, /all-MiniLM-L6-v2/);
      assert.equal(await page.call(() => document.querySelectorAll('.model').length), 1);
      await press(page, 'Route');
      await press(page, 'Learn');
      await shows(page, /It knows 12 labels, learned from 108 examples\./);
    }),

  'the page of digits writes what is typed': (place) =>
    onSite(place, async ({ open }) => {
      const page = await open('#/digits');
      await shows(page, /2026 is written\./);
      await page.type('#digits-text', '7');
      await shows(page, /20267 is written\./);
      assert.equal(await page.call(() => document.querySelectorAll('.sheet-digits canvas').length), 5);
    }),

  'the page of images draws some and finds them by words': (place) =>
    onSite(place, async ({ open }) => {
      const page = await open('#/images');
      await shows(page, /It fits\./);
      await press(page, 'Load the model');
      await shows(page, /tiny-clip is ready/);
      await press(page, 'Draw 120 images');
      await shows(page, /120 images came in\./);
      await page.type('#images-search', 'a purple heart');
      await shows(page, /for “a purple heart”/);
      assert.match(await page.call(() => document.querySelector('.tile').title), /purple hearts?/);
    }),

  'the page of detecting fetches SmolLM2 and judges a text': (place) => {
    assert.ok(smollm2, 'SmolLM2 is not there: `make smollm2` fetches it');
    return onSite(
      place,
      async ({ open }) => {
        const page = await open('#/detect');
        await shows(page, /See what it takes/);
        await press(page, 'See what it takes');
        await shows(page, /Fetch the model from/);
        await press(page, 'Fetch 98.4 MB');
        await shows(page, /The detector is ready/);
        await press(page, 'A language model’s essay');
        await press(page, 'Judge the text');
        await shows(page, /177 tokens read in/);
        await shows(page, /Reads like a machine’s text|No sign of a machine|Uncertain/);
      },
      smollm2,
    );
  },

  'a second visit has the model in the store and searches, without a server where the engine has service workers': (
    place,
  ) =>
    onSite(place, async ({ site, open }) => {
      const page = await open();
      await loadModel(page);
      await shows(page, /24 sentences, /);
      if (!place.lacks.has('service workers')) {
        const keepsCore = () =>
          page.call(async () => {
            const names = await caches.keys();
            const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
            return lists.flat().some(({ url }) => url.endsWith('.wasm'));
          });
        for (let tries = 0; !(await keepsCore()); tries += 1) {
          assert.ok(tries < 200, 'the service worker never kept the core');
          await pause(100);
        }
        await site.close();
      }
      const again = await open();
      await shows(again, /is ready/);
      await shows(again, /from this browser’s store/);
      await again.type('#search', 'a pet');
      await shows(again, /Nearest first/);
    }),
};
