import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { complaints, launch, persistentProfile, startSite } from './harness.mjs';

// Nothing here depends on what the generator's weights draw, beyond that most of it can be read.
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
beforeEach(() => fresh());
afterEach(() => context.close());

async function fresh(options = {}) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  // The machine may have other work.
  context.setDefaultTimeout(120_000);
  page = await context.newPage();
  heard = complaints(page);
  // Off a copy: the page's own canvases are not made for being read often.
  await page.addInitScript(() => {
    window.pixelsOf = (canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return copy.getImageData(0, 0, canvas.width, canvas.height).data;
    };
  });
}

const button = (name) => page.getByRole('button', { name, exact: true });
const choice = (name) => page.getByRole('combobox', { name, exact: true });
const number = () => page.getByLabel('A number to write');
const seed = () => page.getByLabel('Seed');
const status = (text) => page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
const written = (text) => status(`${text} is written.`);
const verdict = () => page.locator('.verdict [role=status]');
const ringed = () => page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none');

async function open(text = '2026') {
  await page.goto(`${site.url}/#/digits`);
  await written('2026');
  if (text !== '2026') await write(text);
}

/** Not by the status of the number before, where it is the same one. */
async function write(text) {
  await number().fill('');
  await page.getByText('The paper is empty').waitFor();
  await number().fill(text);
  await written(text);
}

/** After a setting was changed. */
async function writtenAnew(change) {
  const before = await pictures();
  await change();
  await page.waitForFunction((before) => {
    const now = [...document.querySelectorAll('.sheet-digits canvas')].map((canvas) => canvas.toDataURL());
    return now.join() !== before && document.querySelector('.sheet').getAttribute('aria-busy') === 'false';
  }, before.join());
  return pictures();
}

/** What is on canvases, to be compared. */
const pictures = (selector = '.sheet-digits canvas') =>
  page.locator(selector).evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));

/** The mean of each canvas's ink, 0 to 255. */
const ink = (selector = '.sheet-digits canvas') =>
  page.locator(selector).evaluateAll((all) =>
    all.map((canvas) => {
      const data = window.pixelsOf(canvas);
      return data.reduce((sum, value, i) => (i % 4 === 3 ? sum + value : sum), 0) / (data.length / 4);
    }),
  );

async function timed(work) {
  const started = performance.now();
  await work();
  return Math.round(performance.now() - started);
}

/** All texts that an element has from now on. */
const watch = (selector) =>
  page.evaluate((selector) => {
    const seen = [];
    window.seenTexts = seen;
    const look = () => {
      const text = document.querySelector(selector)?.textContent;
      if (text && text !== seen.at(-1)) seen.push(text);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  }, selector);
const watched = () => page.evaluate(() => window.seenTexts);

/** By mouse, in shares of the pad. */
async function draw(...points) {
  const pad = page.locator('.pad canvas');
  await pad.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await pad.boundingBox();
  const at = ([across, down]) => [x + across * width, y + down * height];
  await page.mouse.move(...at(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 12 });
  await page.mouse.up();
}

test('a number is written before one’s eyes, from noise to digits, and read by the judge, without a word to any host', async () => {
  const urls = [];
  page.on('request', (request) => urls.push(request.url()));
  await open();
  assert.equal(await page.title(), 'Pilotlight: handwritten digits, made in this tab');
  await number().fill('');
  await page.getByText('The paper is empty').waitFor();
  await watch('.sheet-foot p');
  await number().fill('0123456789');
  await written('0123456789');
  const steps = (await watched()).filter((text) => text.trim());
  assert.deepEqual(steps, [
    ...[1, 2, 3, 4, 5, 6].map((step) => `Step ${step} of 7`),
    'Seed 7, out of noise in 7 steps',
  ]);

  const shades = await ink();
  assert.equal(shades.length, 10);
  assert.ok(
    shades.every((shade) => shade > 5 && shade < 120),
    shades.join(' '),
  );
  assert.equal(new Set(await pictures()).size, 10);
  const captions = await page.locator('.sheet-reading').allInnerTexts();
  for (const caption of captions) assert.match(caption.replaceAll('\n', ' '), /^read as \d ?,? \d+%$/);
  const right = captions.filter((caption, digit) => caption.startsWith(`read as ${digit}`));
  assert.ok(right.length >= 9, captions.join(' | '));
  assert.match(
    await page.locator('.digits-top .figures').innerText(),
    /Per digit\s+[\d.]+ m?s\s+[\d.]+ m?s a step\s+The number\s+[\d.]+ m?s\s+10 digits, 7 steps\s+Runs on\s+CPU\s+(relaxed|128-bit) SIMD/,
  );
  await page.getByText('The CPU was taken because').waitFor();

  const foreign = urls.filter((url) => !url.startsWith(`${site.url}/`) || url.includes('/hub/'));
  assert.deepEqual(foreign, []);
  assert.deepEqual(heard, []);
});

test('where less motion is wished only the end is shown', async () => {
  await fresh({ reducedMotion: 'reduce' });
  await open();
  await watch('.sheet-foot p');
  await writtenAnew(() => page.getByLabel('Steps').fill('12'));
  await written('2026');
  assert.deepEqual(await watched(), ['Seed 7, out of noise in 7 steps', 'Seed 7, out of noise in 12 steps']);
});

test('a seed is a hand: another one writes otherwise, the same one the same again', async () => {
  await open();
  const seventh = await pictures();
  const eighth = await writtenAnew(() => seed().fill('8'));
  for (const [i, picture] of eighth.entries()) assert.notEqual(picture, seventh[i]);
  assert.deepEqual(await writtenAnew(() => seed().fill('7')), seventh);

  await writtenAnew(() => button('Another hand').click());
  const chosen = await seed().inputValue();
  assert.match(chosen, /^\d{1,4}$/);
  assert.notEqual(chosen, '7');
  await page.getByText(`Seed ${chosen}, out of noise in 7 steps`).waitFor();
  assert.deepEqual(heard, []);
});

test('steps and guidance change what is written, and say what they are', async () => {
  await open();
  const usual = await pictures();
  const setting = (label) => page.locator('.setting', { hasText: label }).locator('output').innerText();
  const coarse = await writtenAnew(() => page.getByLabel('Steps').fill('1'));
  assert.equal(await setting('Steps'), '1');
  await page.getByText('Seed 7, out of noise in one step').waitFor();
  for (const [i, picture] of coarse.entries()) assert.notEqual(picture, usual[i]);
  assert.deepEqual(await writtenAnew(() => page.getByLabel('Steps').fill('7')), usual);

  const led = await writtenAnew(() => page.getByLabel('Guidance').fill('4.5'));
  assert.equal(await setting('Guidance'), '4.5');
  for (const [i, picture] of led.entries()) assert.notEqual(picture, usual[i]);
  for (const [label, words] of [
    ['Seed', /noise it begins with/],
    ['Steps', /clears some of it away/],
    ['Guidance', /led to the digit/],
  ]) {
    const id = await page.getByLabel(label).getAttribute('aria-describedby');
    assert.match(await page.locator(`[id="${id}"]`).innerText(), words);
  }
});

test('what is no digit is refused with a sentence, and the number stays as it was', async () => {
  await open();
  const before = await pictures();
  await number().press('End');
  await number().pressSequentially('x');
  await status('Only the digits 0 to 9 can be written: “x” was left out.');
  assert.equal(await number().inputValue(), '2026');
  assert.deepEqual(await pictures(), before);

  // The caret stays where one types.
  await number().press('Home');
  await number().press('ArrowRight');
  await number().pressSequentially('a7');
  assert.equal(await number().inputValue(), '27026');
  await status('Up to 12 digits.');
  await number().fill('1-2 3.4e');
  await status('“-”, a space, “.” and others were left out.');
  assert.equal(await number().inputValue(), '1234');
  await number().fill('12345678901234');
  await status('12 digits fit on the paper');
  await written('123456789012');
  assert.equal(await page.locator('.sheet-digits canvas').count(), 12);

  const twelve = await pictures();
  for (const wrong of ['', '-3', '1.5', '1e3', '12345678901234567']) {
    await seed().fill(wrong);
    await status('A seed is a whole number, 0 or more, of up to 15 digits.');
    assert.equal(await seed().getAttribute('aria-invalid'), 'true');
  }
  // Left as it is, the field shows the seed that holds.
  await seed().press('Tab');
  assert.equal(await seed().inputValue(), '7');
  assert.deepEqual(await pictures(), twelve);
  assert.deepEqual(heard, []);
});

test('who types on ends what is being written: the last number is the one that stands', async () => {
  await open('31415');
  const wanted = await pictures();
  await page.getByLabel('Steps').fill('30');
  const alone = await timed(() => write('9876543210'));
  await number().fill('');
  await watch('.number-panel > [role=status]');
  const typed = await timed(async () => {
    await number().pressSequentially('9876543210', { delay: 20 });
    await number().press('Control+A');
    await number().pressSequentially('31415', { delay: 20 });
    await page.getByLabel('Steps').fill('7');
    await written('31415');
  });
  // To their ends, all of these would take seven times as long as the longest of them.
  assert.ok(typed < 4 * alone, `${typed} ms, of which the longest alone takes ${alone}`);
  await page.waitForTimeout(1500);
  assert.deepEqual(await pictures(), wanted);
  const said = await watched();
  assert.deepEqual([...new Set(said.map((text) => text.split(' ')[0]))], ['31415'], said.join('\n'));
  assert.deepEqual(heard, []);
});

test('one digit becomes another: a filmstrip, a slider to go through it, and a button that plays it', async () => {
  await open();
  const strip = '.filmstrip canvas';
  const large = '.morph-view > canvas';
  assert.equal(Math.max(...(await ink(strip))), 0);
  assert.ok(await button('Play').isDisabled());
  await choice('From').selectOption('1');
  await choice('to').selectOption('0');
  await button('Morph').click();
  await status('17 digits from 1 to 0, in');
  const frames = await pictures(strip);
  assert.equal(frames.length, 17);
  assert.equal(new Set(frames).size, 17);
  assert.ok((await ink(strip)).every((shade) => shade > 2));

  const slider = page.getByRole('slider', { name: /^Digit \d+ of 17$/ });
  const [first] = await pictures(large);
  await slider.fill('16');
  await page.getByRole('img', { name: 'Digit 17 of 17 from 1 to 0' }).waitFor();
  assert.equal(await slider.getAttribute('aria-valuetext'), 'Digit 17 of 17, 100 percent of the way from 1 to 0');
  assert.notEqual((await pictures(large))[0], first);

  await watch('.morph-view label');
  await button('Play').click();
  await button('Pause').waitFor();
  await button('Play').waitFor();
  assert.equal(await slider.inputValue(), '16');
  const played = await watched();
  assert.deepEqual(
    played,
    Array.from({ length: 17 }, (_, i) => `Digit ${i + 1} of 17`),
  );
  await page.locator('.filmstrip span').nth(5).click();
  assert.equal(await slider.inputValue(), '5');

  // From a digit to itself it goes to another hand.
  await choice('From').selectOption('0');
  await button('Morph').click();
  await status('17 digits from one 0 to another, in');
  assert.equal(new Set(await pictures(strip)).size, 17);
  assert.deepEqual(heard, []);
});

test('the number is saved as a PNG of 28 by 28 pixels a digit, white on black', async () => {
  await open('407');
  await page.waitForFunction(() => document.querySelector('.sheet-foot a')?.download === 'digits-407-seed-7.png');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Save as PNG' }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'digits-407-seed-7.png');
  const file = await readFile(await download.path());
  assert.deepEqual([...file.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  assert.deepEqual([file.readUInt32BE(16), file.readUInt32BE(20)], [3 * 28, 28]);
  const at = file.indexOf('IDAT');
  const rows = inflateSync(file.subarray(at + 4, at + 4 + file.readUInt32BE(at - 4)));
  assert.equal(rows.length, 28 * (1 + 3 * 28));
  assert.ok(Math.max(...rows) > 200 && rows.filter((grey) => grey < 30).length > rows.length / 2);
  assert.deepEqual(heard, []);
});

test('a digit that is drawn by mouse is read, wherever on the pad and however large it is', async () => {
  await open();
  await page.getByText('Draw a digit from 0 to 9').waitFor();
  const seen = () =>
    page.locator('.verdict canvas').evaluate((canvas) => {
      const data = window.pixelsOf(canvas);
      const all = Array.from({ length: 784 }, (_, i) => ({
        x: i % 28,
        y: Math.floor(i / 28),
        grey: data[4 * i + 3],
      })).filter(({ grey }) => grey > 0);
      const sum = all.reduce((sum, { grey }) => sum + grey, 0);
      const centre = (axis) => all.reduce((sum, pixel) => sum + pixel.grey * (pixel[axis] + 0.5), 0) / sum;
      const inked = all.filter(({ grey }) => grey > 127).map(({ y }) => y);
      return { height: Math.max(...inked) - Math.min(...inked) + 1, centre: [centre('x'), centre('y')] };
    });
  for (const [name, from, to] of [
    ['large', [0.55, 0.1], [0.45, 0.9]],
    ['small and in a corner', [0.82, 0.1], [0.78, 0.42]],
  ]) {
    await draw(from, to);
    await page.getByText('This is a one.').waitFor();
    assert.equal(await page.locator('.reading [data-best=true] > span').first().innerText(), '1', name);
    const { height, centre } = await seen();
    assert.ok(height >= 19 && height <= 21, `${name}: ${height} high`);
    for (const at of centre) assert.ok(Math.abs(at - 14) < 0.3, `${name}: centre of mass at ${centre}`);
    await page.getByRole('img', { name: 'Pad with your drawing' }).waitFor();
    await button('Clear').click();
    await page.getByText('Draw a digit from 0 to 9').waitFor();
    assert.deepEqual(await ink('.pad canvas'), [0]);
  }

  // It is read while it is drawn: a seven, before the pen is lifted.
  const { x, y, width } = await page.locator('.pad canvas').boundingBox();
  const corners = [
    [0.28, 0.2],
    [0.7, 0.2],
    [0.45, 0.85],
  ].map(([across, down]) => [x + across * width, y + down * width]);
  await page.mouse.move(...corners[0]);
  await page.mouse.down();
  for (const corner of corners.slice(1)) await page.mouse.move(...corner, { steps: 10 });
  await page.getByText('a seven.').waitFor();
  assert.equal(await verdict().getAttribute('aria-busy'), 'true');
  await page.mouse.up();
  await page.locator('.verdict [aria-busy=false]').waitFor();
  assert.equal(await page.locator('.reading li').count(), 10);
  assert.match(await verdict().innerText(), /a seven\.\s+\d+% sure/);
  assert.deepEqual(heard, []);
});

test('on a phone of 360 pixels one draws by finger without moving the page, and nothing scrolls sideways', async () => {
  await fresh({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  await open('123456789012');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await page.locator('.pad canvas').scrollIntoViewIfNeeded();
  const { x, y, width } = await page.locator('.pad canvas').boundingBox();
  const before = await page.evaluate(() => scrollY);
  const devtools = await context.newCDPSession(page);
  const touch = (type, ...points) =>
    devtools.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: points.map(([across, down], id) => ({ x: x + across * width, y: y + down * width, id })),
    });
  await touch('touchStart', [0.5, 0.1]);
  for (let down = 0.15; down < 0.9; down += 0.05) await touch('touchMove', [0.5, down]);
  // A second finger draws nothing.
  await touch('touchStart', [0.5, 0.9], [0.1, 0.1]);
  await touch('touchMove', [0.5, 0.9], [0.1, 0.8]);
  await touch('touchEnd');
  await page.getByText('This is a one.').waitFor();
  assert.equal(await page.evaluate(() => scrollY), before);
  assert.deepEqual(heard, []);
});

test('the ink is the theme’s, on what was drawn before it changed too', async () => {
  await fresh({ colorScheme: 'light' });
  await open();
  await draw([0.5, 0.1], [0.5, 0.9]);
  await page.getByText('This is a one.').waitFor();
  const colours = () =>
    page.evaluate(() =>
      ['.pad canvas', '.sheet-digits canvas'].map((selector) => {
        const data = window.pixelsOf(document.querySelector(selector));
        return data.find((_, i) => i % 4 === 0 && data[i + 3] > 128);
      }),
    );
  assert.ok(
    (await colours()).every((red) => red < 60),
    String(await colours()),
  );
  await button('Use the dark theme').click();
  assert.ok(
    (await colours()).every((red) => red > 200),
    String(await colours()),
  );
});

test('everything on the page can be done by keyboard alone', async () => {
  await open();
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 30; presses += 1) {
      await page.keyboard.press('Tab');
      assert.ok(await ringed(), `no focus ring on ${await page.evaluate(() => document.activeElement.outerHTML)}`);
      if (await wanted.evaluate((element) => element === document.activeElement)) return;
    }
    assert.fail(`Tab never reached ${wanted}`);
  };
  await page.getByText('Skip to the digits').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.querySelector(location.hash)?.id), 'digits-text');
  assert.ok(await page.getByRole('heading', { level: 1, name: 'Handwritten digits' }).isVisible());
  if (!(await number().evaluate((element) => element === document.activeElement))) await tabTo(number());
  await page.keyboard.press('Control+A');
  await page.keyboard.type('58');
  await written('58');
  await tabTo(page.getByRole('link', { name: 'Save as PNG' }));
  await tabTo(seed());
  await writtenAnew(() => page.keyboard.press('ArrowUp'));
  assert.equal(await seed().inputValue(), '8');
  await tabTo(button('Another hand'));
  await writtenAnew(() => page.keyboard.press('Enter'));
  await tabTo(page.getByLabel('Steps'));
  await writtenAnew(() => page.keyboard.press('ArrowLeft'));
  await tabTo(page.getByLabel('Guidance'));
  await writtenAnew(() => page.keyboard.press('End'));
  await page.locator('.setting', { hasText: 'Guidance' }).getByText('5', { exact: true }).waitFor();

  await tabTo(choice('From'));
  await page.keyboard.press('6');
  await tabTo(choice('to'));
  await page.keyboard.press('9');
  await tabTo(button('Morph'));
  await page.keyboard.press('Enter');
  await status('17 digits from 6 to 9, in');
  await tabTo(page.getByRole('slider', { name: /^Digit/ }));
  await page.keyboard.press('End');
  await page.getByRole('img', { name: 'Digit 17 of 17 from 6 to 9' }).waitFor();
  await tabTo(button('Play'));
  await page.keyboard.press('Space');
  await button('Pause').waitFor();
  await button('Play').waitFor();

  await tabTo(button('Let the generator draw one'));
  await page.keyboard.press('Enter');
  await page.getByRole('img', { name: 'Pad with a digit that the generator drew' }).waitFor();
  await page.waitForFunction(() =>
    /(zero|one|two|three|four|five|six|seven|eight|nine)\.\s*\d+% sure/.test(
      document.querySelector('.verdict [role=status]').innerText,
    ),
  );
  assert.ok((await ink('.pad canvas'))[0] > 5);
  await tabTo(button('Clear'));
  await page.keyboard.press('Enter');
  await page.getByText('Draw a digit from 0 to 9').waitFor();
  assert.deepEqual(await ink('.pad canvas'), [0]);
  assert.deepEqual(heard, []);
});

test('digits have words, and all controls have names', async () => {
  await open();
  await draw([0.5, 0.1], [0.5, 0.9]);
  await page.getByText('This is a one.').waitFor();
  const unnamed = await page.evaluate(() => {
    const named = (element) =>
      element.getAttribute('aria-label') || element.labels?.length || element.innerText?.trim();
    const all = document.querySelectorAll('main canvas, main button, main input, main select, main a, main output');
    return [...all]
      .filter((element) => !element.closest('[hidden], [aria-hidden=true], [role=img] *') && !named(element))
      .map((element) => element.outerHTML);
  });
  assert.deepEqual(unnamed, []);
  assert.deepEqual(
    await page
      .locator('.sheet-digits canvas')
      .evaluateAll((all) => all.map((canvas) => [canvas.getAttribute('role'), canvas.getAttribute('aria-label')])),
    ['2', '0', '2', '6'].map((digit) => ['img', `A handwritten ${digit}`]),
  );
});

test('a generator that cannot be fetched is said, and can be tried again', async () => {
  await fresh({ serviceWorkers: 'block' });
  await page.route(/\/assets\/generator-[^/]*\.js$/, (route) => route.abort());
  await page.goto(`${site.url}/#/digits`);
  await page.getByRole('alert').getByText('could not be loaded').waitFor();
  assert.match(await page.locator('.problem details').textContent(), /FETCH_FAILED .*generator/);
  await number().fill('77');
  await page.unrouteAll();
  await button('Try again').click();
  await written('77');
});

test('a judge that cannot be fetched is said, and what was drawn is read when it is tried again', async () => {
  await fresh({ serviceWorkers: 'block' });
  await page.route(/\/assets\/judge-[^/]*\.js$/, (route) => route.abort());
  await page.goto(`${site.url}/#/digits`);
  await page.getByText('The judge cannot read it').waitFor();
  assert.ok((await ink()).every((shade) => shade > 5));
  await draw([0.5, 0.1], [0.5, 0.9]);
  await page.getByRole('alert').getByText('could not be loaded').waitFor();
  await page.unrouteAll();
  await button('Try again').click();
  await page.getByText('This is a one.').waitFor();
});

test('after a first visit the page writes and reads with the network cut', async () => {
  const own = await startSite();
  const profile = await persistentProfile();
  try {
    const first = await profile.open();
    first.setDefaultTimeout(120_000);
    page = await first.newPage();
    await page.goto(`${own.url}/#/digits`);
    await written('2026');
    // The core, the weights of both networks and the judge's script, apart from what the page begins with.
    const kept = () =>
      page.evaluate(async () => {
        const lists = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
        return lists.flat().map(({ url }) => url.split('/').pop());
      });
    const isWhole = (names) =>
      names.some((name) => name.endsWith('.wasm')) &&
      names.some((name) => name.startsWith('generator-')) &&
      names.filter((name) => name.startsWith('judge-')).length === 2;
    for (let tries = 0; !isWhole(await kept()); tries += 1) {
      assert.ok(tries < 1200, (await kept()).join('\n'));
      await page.waitForTimeout(100);
    }
    assert.equal((await kept()).filter((name) => name.endsWith('.wasm')).length, 1);
    await first.close();
    await own.close();

    const again = await profile.open();
    again.setDefaultTimeout(120_000);
    await again.setOffline(true);
    page = await again.newPage();
    heard = complaints(page);
    await page.goto(`${own.url}/#/digits`);
    await written('2026');
    assert.equal(await page.evaluate(() => navigator.onLine), false);
    await draw([0.5, 0.1], [0.5, 0.9]);
    await page.getByText('This is a one.').waitFor();
    assert.deepEqual(heard, []);
    await again.close();
  } finally {
    await own.close();
    await profile.remove();
  }
});
