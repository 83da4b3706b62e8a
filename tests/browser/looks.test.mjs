import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { detect, smollm2 } from './detect-page.mjs';
import { demo, FIGURES, launch, results, startSite } from './harness.mjs';

// Screenshots for people to look at, in tests/browser/results/, and what of good looks a program can check.
const SIZES = { phone: { width: 390, height: 844 }, wide: { width: 1440, height: 900 } };
let browser;
let site;

before(async () => {
  await mkdir(results, { recursive: true });
  browser = await launch();
  site = await startSite(smollm2 ?? {});
});
after(async () => {
  await browser?.close();
  await site?.close();
});

test('choices stay in their boxes at all widths', async () => {
  const context = await browser.newContext();
  try {
    const page = await demo.open(context, site.url);
    for (let width = 320; width <= 1600; width += 20) {
      await page.setViewportSize({ width, height: 900 });
      const choices = await page.locator('.segments > div').evaluateAll((boxes) =>
        boxes.map(({ scrollWidth, clientWidth, textContent }) => ({
          beyond: scrollWidth - clientWidth,
          textContent,
        })),
      );
      assert.equal(choices.length, 2);
      for (const { beyond, textContent } of choices)
        assert.ok(beyond <= 0, `${textContent} at ${width} px: ${beyond} px`);
    }
  } finally {
    await context.close();
  }
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark']) {
    // Each size and each colour scheme once; `make figures` looks at all four.
    const skip = !FIGURES && (size === 'phone') === (colorScheme === 'light') && 'only in `make figures`';
    test(`the page is whole and readable, ${size} and ${colorScheme}`, { skip }, async () => {
      const context = await browser.newContext({
        viewport,
        colorScheme,
        deviceScaleFactor: size === 'phone' ? 2 : 1,
        reducedMotion: 'reduce',
      });
      try {
        const page = await demo.open(context, site.url);
        const check = async (state) => {
          const file = path.join(results, `${size}-${colorScheme}-${state}.png`);
          // Screenshots are for people, and take half of the time.
          if (FIGURES) await page.screenshot({ path: file, fullPage: true });
          assert.ok(
            await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
            `${state} scrolls sideways`,
          );
          assert.deepEqual(await page.evaluate(weakText), [], state);
          assert.deepEqual(await page.evaluate(smallTargets), [], state);
        };
        await page.getByText('It fits.').waitFor();
        await check('1-start');

        site.setFaults([{ file: 'model.safetensors', fault: 'stall', value: 40e6 }]);
        await demo.load(page, { device: 'CPU' });
        await page.getByText(/^40\.\d MB of|^39\.\d MB of/).waitFor();
        await check('2-loading');
        site.setFaults([]);
        await page.getByRole('button', { name: 'Cancel', exact: true }).click();
        await demo.problem(page).waitFor();
        await page.getByRole('button', { name: 'Change settings' }).click();
        await demo.load(page, { host: 'http://127.0.0.1:9', device: 'CPU' });
        await demo.problem(page).waitFor();
        await page.locator('summary').click();
        await check('3-problem');

        await page.getByRole('button', { name: 'Change settings' }).click();
        await demo.load(page, { host: '/hub' });
        await demo.ready(page);
        await demo.embedded(page);
        await check('4-ready');
        await page.getByRole('searchbox').fill('trouble with money');
        await page.getByText('Nearest first').waitFor();
        await page.locator('.result').nth(1).hover();
        await check('5-search');
        await page.getByRole('button', { name: 'Edit sentences' }).click();
        await check('6-edit');

        await page.getByRole('link', { name: 'Models', exact: true }).click();
        await page.getByText('1 stored model').waitFor();
        await check('7-models');
        await page.getByRole('button', { name: 'Keep models when space runs low' }).click();
        await page.getByText('Visiting often').waitFor();
        await page.getByRole('button', { name: /^Delete/ }).click();
        await check('8-delete');
        await page.getByRole('button', { name: 'Delete it' }).click();
        await page.getByText('No model is stored').waitFor();
        await check('9-empty');

        await page.getByRole('link', { name: 'Digits', exact: true }).click();
        await page.getByText('read as').first().waitFor();
        await check('10-digits');
        await page.getByLabel('A number to write').fill('123456789012');
        await page.getByLabel('A number to write').pressSequentially('x');
        await page.getByText('“x” was left out').waitFor();
        await page.getByRole('status').filter({ hasText: '123456789012 is written' }).waitFor({ state: 'attached' });
        await page.getByRole('button', { name: 'Morph' }).click();
        await page.getByText('17 digits from 3 to 8, in').waitFor();
        await page.getByRole('button', { name: 'Let the generator draw one' }).click();
        await page.getByText(/\d+% sure/).waitFor();
        await check('11-written');

        await page.getByRole('link', { name: 'Images', exact: true }).click();
        await page.getByText('It fits.').waitFor();
        await check('12-images');
        await page.getByRole('button', { name: 'Load the model' }).click();
        await page.getByRole('heading', { name: 'tiny-clip is ready' }).waitFor();
        await page.getByRole('button', { name: 'Draw 120 images' }).click();
        await page.waitForFunction(() => document.querySelectorAll('.tile').length > 12);
        // While others are being looked at: a file that comes when none is left begins a new count.
        await page
          .locator('input[type=file]:not([webkitdirectory])')
          .setInputFiles({ name: 'broken.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no image') });
        await page.getByRole('button', { name: 'Stop' }).waitFor();
        await check('13-drawing');
        await page.getByText('1 file could not be read').click();
        await page.getByRole('searchbox', { name: 'Search the images in words' }).fill('three red circles');
        await page.getByRole('heading', { name: 'Best first' }).waitFor();
        await page.locator('.tile').nth(1).hover();
        await check('14-found');
        await page.locator('.tile').first().click();
        await page.locator('.bars li').first().waitFor();
        await check('15-image');
        await page.getByRole('button', { name: 'More like this' }).click();
        await page.locator('.like').waitFor();
        await page.getByRole('button', { name: 'Remove all' }).click();
        await check('16-like');

        await page.getByRole('link', { name: 'Route', exact: true }).click();
        await page.getByText('108 examples, 12 labels.').first().waitFor();
        await check('17-route');
        await page.getByRole('button', { name: 'Learn', exact: true }).click();
        await page.getByText('12 labels, learned from 108 examples').waitFor();
        await page.getByRole('textbox', { name: 'A request to try' }).fill('ring my brother');
        await page.locator('.route-label strong').waitFor();
        await page
          .getByText(/taken for another label/)
          .first()
          .waitFor();
        await check('18-learned');
        await page.getByRole('textbox', { name: 'A request to try' }).fill('are octopuses clever?');
        await page.getByText('It would have said').last().waitFor();
        await page.getByRole('button', { name: 'Paste rows' }).click();
        await page.getByText('The curve as a table').click();
        await page.locator('.route input[type=file]').setInputFiles({
          name: 'broken.json',
          mimeType: 'application/json',
          buffer: Buffer.from('{}'),
        });
        await page.getByText('This file cannot be opened.').waitFor();
        await check('19-refused');

        await page.getByRole('link', { name: 'Detect', exact: true }).click();
        await page.getByText('Nothing was fetched yet.').waitFor();
        await check('20-detect');
        if (!smollm2) return;
        await detect.look(page);
        await check('21-consent');
        await page.getByRole('button', { name: /^Fetch \d/ }).click();
        await detect.ready(page);
        await page.getByLabel('Keep my verdicts in this browser').check();
        await page.getByLabel('With the texts').check();
        await detect.judge(page, 'Too short to say anything.');
        await page.getByRole('button', { name: 'A journal of 1802' }).click();
        await page.getByRole('button', { name: 'Judge the text' }).click();
        await page.locator('.detect-history li').nth(1).waitFor();
        await page.getByText('The marks as a table').click();
        await page.getByRole('button', { name: 'Delete all' }).click();
        await check('22-judged');
      } finally {
        site.setFaults([]);
        await context.close();
      }
    });
  }
}

/** Runs in the page: text whose contrast is under WCAG AA's 4.5 (3 for large text). */
function weakText() {
  const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    // WCAG asks nothing of disabled controls; SVG text is a repetition of the list.
    if (
      !own ||
      box.width < 2 ||
      box.height < 2 ||
      element.closest('svg, :disabled, .unseen, label:has(:disabled), .skip')
    )
      continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large =
      parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700);
    if (!(contrast >= (large ? 3 : 4.5))) weak.push(`${element.className || element.tagName}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(weak)];
}

/** Runs in the page: buttons and fields that are hard to hit (WCAG 2.2 asks for 24 px, we for 32). */
function smallTargets() {
  return (
    [...document.querySelectorAll('button, a.button, nav a, input:not([type=radio]), textarea, .segments label')]
      // A checkbox is as large as its label, which may be clicked as well.
      .map((element) => (element.type === 'checkbox' ? (element.closest('label') ?? element) : element))
      .map((element) => [element, element.getBoundingClientRect()])
      .filter(([, { width, height }]) => width > 0 && (width < 32 || height < 32))
      .map(
        ([element, { width, height }]) =>
          `${element.className || element.tagName} ${Math.round(width)}×${Math.round(height)}`,
      )
  );
}
