// The demo's page of digits, as its tests use it.
// Nothing here depends on what the generator's weights draw, beyond that most of it can be read.
import { after, afterEach, before, beforeEach } from 'node:test';
import { complaints, launch, startSite } from './harness.mjs';

export let browser;
export let site;
export let context;
export let page;
export let heard;

/** A site for all tests of a file, and a fresh page for each. */
export function setUp() {
  before(async () => {
    browser = await launch();
    site = await startSite();
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });
  beforeEach(() => fresh());
  afterEach(() => context.close());
}

export async function fresh(options = {}) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // The machine may have other work.
  context.setDefaultTimeout(120_000);
  use(await context.newPage());
  // Off a copy: the page's own canvases are not made for being read often.
  await page.addInitScript(() => {
    window.pixelsOf = (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return copy.getImageData(0, 0, canvas.width, canvas.height).data;
    };
  });
}

/** The page that all here is about from now on. */
export function use(next) {
  page = next;
  heard = complaints(page);
}

export const button = (name) => page.getByRole('button', { name, exact: true });
export const choice = (name) => page.getByRole('combobox', { name, exact: true });
export const number = () => page.getByLabel('A number to write');
export const seed = () => page.getByLabel('Seed');
export const status = (text) => page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
export const written = (text) => status(`${text} is written.`);
export const verdict = () => page.locator('.verdict [role=status]');
export const ringed = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none');

export async function open(text = '2026') {
  await page.goto(`${site.url}/#/digits`);
  await written('2026');
  if (text !== '2026') await write(text);
}

/** Writes a number, after clearing the field so that the status of the same number before is not taken for the new one. */
export async function write(text) {
  await number().fill('');
  await page.getByText('The paper is empty').waitFor();
  await number().fill(text);
  await written(text);
}

/** Changes a setting, and waits until the number was drawn anew. */
export async function writtenAnew(change) {
  const before = await drawings();
  await change();
  await page.waitForFunction((before) => {
    const now = [...document.querySelectorAll('.sheet-digits canvas')].map((canvas) => canvas.toDataURL());
    return now.join() !== before && document.querySelector('.sheet').getAttribute('aria-busy') === 'false';
  }, before.join());
  return drawings();
}

/** The content of canvases, to compare it. */
export const drawings = (selector = '.sheet-digits canvas') =>
  page.locator(selector).evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));

/** The mean of each canvas's ink, 0 to 255. */
export const ink = (selector = '.sheet-digits canvas') =>
  page.locator(selector).evaluateAll((all) =>
    all.map((canvas) => {
      const data = window.pixelsOf(canvas);
      return data.reduce((sum, value, i) => (i % 4 === 3 ? sum + value : sum), 0) / (data.length / 4);
    }),
  );

export async function timed(work) {
  const started = performance.now();
  await work();
  return Math.round(performance.now() - started);
}

/** All texts that an element has from now on. */
export const watch = (selector) =>
  page.evaluate((selector) => {
    const seen = [];
    window.seenTexts = seen;
    const look = () => {
      const text = document.querySelector(selector)?.textContent;
      if (text && text !== seen.at(-1)) seen.push(text);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  }, selector);
export const watched = () => page.evaluate(() => window.seenTexts);

/** Draws a stroke with the mouse through points, given as shares of the pad's size. */
export async function draw(...points) {
  const pad = page.locator('.pad canvas');
  await pad.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await pad.boundingBox();
  const at = ([across, down]) => [x + across * width, y + down * height];
  await page.mouse.move(...at(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 12 });
  await page.mouse.up();
}
