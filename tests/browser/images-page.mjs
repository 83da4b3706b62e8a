// The demo's page of images, as its tests use it.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { complaints, goldens, launch, startSite } from './harness.mjs';

export const HUB_MODEL = 'openai/clip-vit-base-patch32';
export const DRAWN = 120;
export let browser;
export let site;
export let context;
export let page;
export let heard;
export let folder;

/** A site for all tests of a file, and a fresh page for each. */
export function setUp() {
  before(async () => {
    browser = await launch();
    // A tiny CLIP of random weights replaces the large one: its vectors have no meaning, but are computed in the same way.
    site = await startSite({ [HUB_MODEL]: path.join(goldens, 'clip-tiny') });
    folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-images-'));
  });
  after(async () => {
    await browser?.close();
    await site?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    site.setFaults([]);
    return fresh();
  });
  afterEach(() => context.close());
}

export async function fresh(options = {}) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  use(await context.newPage());
}

export function use(next) {
  page = next;
  // The machine may have other work.
  page.setDefaultTimeout(120_000);
  heard = complaints(page);
}

export const button = (name) => page.getByRole('button', { name, exact: true });
export const heading = (name) => page.getByRole('heading', { name, exact: true });
export const searchBox = () => page.getByRole('searchbox', { name: 'Search the images in words' });
export const tiles = () => page.locator('.tile');
export const names = () => tiles().evaluateAll((all) => all.map((tile) => tile.title));
export const scores = () =>
  page
    .locator('.tile-score')
    .allInnerTexts()
    .then((texts) => texts.map(Number));
export const ready = (model = 'tiny-clip') => heading(`${model} is ready`).waitFor();
export const cameIn = (text) => page.locator('.intake-foot').getByText(text).waitFor();
export const visible = (locator) => locator.evaluate((image) => image.decode().then(() => image.naturalWidth));

export async function open() {
  await page.goto(`${site.url}/#/images`);
  await page.getByText('It fits.').waitFor();
}

export async function load() {
  await open();
  await button('Load the model').click();
  await ready();
}

/** Changes the records of the last images by id, as if another version of the page had written them; without `last`, all records. */
export async function changeRecords(changes, last = Infinity) {
  await page.evaluate(
    async ([changes, last]) => {
      const database = await new Promise(
        (resolve) => (indexedDB.open('pilotlight-pictures').onsuccess = ({ target }) => resolve(target.result)),
      );
      const transaction = database.transaction('pictures', 'readwrite');
      let left = last;
      transaction.objectStore('pictures').openCursor(null, 'prev').onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor || left === 0) return;
        left -= 1;
        cursor.update({ ...cursor.value, ...changes });
        cursor.continue();
      };
      await new Promise((resolve) => (transaction.oncomplete = resolve));
      database.close();
    },
    [changes, last],
  );
}

/** Returns the sources of the vectors that are kept, each once. */
export const keptSources = () =>
  page.evaluate(async () => {
    const database = await new Promise(
      (resolve) => (indexedDB.open('pilotlight-pictures').onsuccess = ({ target }) => resolve(target.result)),
    );
    const records = await new Promise(
      (resolve) =>
        (database.transaction('pictures').objectStore('pictures').getAll().onsuccess = ({ target }) =>
          resolve(target.result)),
    );
    database.close();
    return [...new Set(records.map(({ source }) => source))];
  });

export async function loadAgain() {
  await button('Change').click();
  await button('Load the model').click();
  await ready();
}

export async function addFile(file) {
  await page.locator('input[type=file]:not([webkitdirectory])').setInputFiles(file);
  await cameIn('1 image came in.');
}

export async function draw() {
  await button(`Draw ${DRAWN} images`).click();
  await cameIn(`${DRAWN} images came in.`);
}

/** The answer to these very words. */
export const answered = (query) =>
  page
    .getByRole('status')
    .filter({ hasText: `for “${query}”, the best first` })
    .waitFor({ state: 'attached' });

/** The names of the best, the best first. */
export async function search(query) {
  await searchBox().fill(query);
  await answered(query);
  return names();
}

/** Returns the keys of Pilotlight's store. */
export const storedKeys = () =>
  page.evaluate(async () => {
    const keys = [];
    for (const { name } of await indexedDB.databases()) {
      if (name === 'pilotlight-pictures') continue;
      const database = await new Promise(
        (resolve) => (indexedDB.open(name).onsuccess = ({ target }) => resolve(target.result)),
      );
      for (const store of database.objectStoreNames) {
        keys.push(
          ...(await new Promise(
            (resolve) =>
              (database.transaction(store).objectStore(store).getAllKeys().onsuccess = ({ target }) =>
                resolve(target.result)),
          )),
        );
      }
      database.close();
    }
    return keys.map(String);
  });

/** Some drawings of the page, as files of their own. */
export async function imageFiles() {
  const bytes = await page.locator('.tile img').evaluateAll((images) =>
    Promise.all(
      images.slice(0, 4).map(async (image) => {
        const canvas = new OffscreenCanvas(200, 120);
        const pen = canvas.getContext('2d');
        pen.fillStyle = 'teal';
        pen.fillRect(0, 0, 200, 120);
        pen.drawImage(image, 40, 0, 120, 120);
        const blob = await canvas.convertToBlob({ type: 'image/jpeg' });
        return [...new Uint8Array(await blob.arrayBuffer())];
      }),
    ),
  );
  return bytes.map((file) => Buffer.from(file));
}
