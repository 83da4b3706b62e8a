// Digits are written, changed into each other and saved; and what happens where something cannot be had.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import {
  button,
  choice,
  draw,
  drawings,
  fresh,
  heard,
  ink,
  number,
  open,
  page,
  seed,
  setUp,
  site,
  status,
  timed,
  use,
  watch,
  watched,
  write,
  written,
  writtenAnew,
} from './digits-page.mjs';
import { persistentProfile, startSite } from './harness.mjs';

setUp();

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
  assert.equal(new Set(await drawings()).size, 10);
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
  const seventh = await drawings();
  const eighth = await writtenAnew(() => seed().fill('8'));
  for (const [i, digit] of eighth.entries()) assert.notEqual(digit, seventh[i]);
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
  const usual = await drawings();
  const setting = (label) => page.locator('.setting', { hasText: label }).locator('output').innerText();
  const coarse = await writtenAnew(() => page.getByLabel('Steps').fill('1'));
  assert.equal(await setting('Steps'), '1');
  await page.getByText('Seed 7, out of noise in one step').waitFor();
  for (const [i, digit] of coarse.entries()) assert.notEqual(digit, usual[i]);
  assert.deepEqual(await writtenAnew(() => page.getByLabel('Steps').fill('7')), usual);

  const led = await writtenAnew(() => page.getByLabel('Guidance').fill('4.5'));
  assert.equal(await setting('Guidance'), '4.5');
  for (const [i, digit] of led.entries()) assert.notEqual(digit, usual[i]);
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
  const before = await drawings();
  await number().press('End');
  await number().pressSequentially('x');
  await status('Only the digits 0 to 9 can be written: “x” was left out.');
  assert.equal(await number().inputValue(), '2026');
  assert.deepEqual(await drawings(), before);

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

  const twelve = await drawings();
  for (const wrong of ['', '-3', '1.5', '1e3', '12345678901234567']) {
    await seed().fill(wrong);
    await status('A seed is a whole number, 0 or more, of up to 15 digits.');
    assert.equal(await seed().getAttribute('aria-invalid'), 'true');
  }
  // If it is left unchanged, the field shows the present seed.
  await seed().press('Tab');
  assert.equal(await seed().inputValue(), '7');
  assert.deepEqual(await drawings(), twelve);
  assert.deepEqual(heard, []);
});

test('who types on ends what is being written: the last number is the one that stands', async () => {
  await open('31415');
  const wanted = await drawings();
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
  assert.deepEqual(await drawings(), wanted);
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
  const frames = await drawings(strip);
  assert.equal(frames.length, 17);
  assert.equal(new Set(frames).size, 17);
  assert.ok((await ink(strip)).every((shade) => shade > 2));

  const slider = page.getByRole('slider', { name: /^Digit \d+ of 17$/ });
  const [first] = await drawings(large);
  await slider.fill('16');
  await page.getByRole('img', { name: 'Digit 17 of 17 from 1 to 0' }).waitFor();
  assert.equal(await slider.getAttribute('aria-valuetext'), 'Digit 17 of 17, 100 percent of the way from 1 to 0');
  assert.notEqual((await drawings(large))[0], first);

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

  // A morph from a digit to itself changes the handwriting.
  await choice('From').selectOption('0');
  await button('Morph').click();
  await status('17 digits from one 0 to another, in');
  assert.equal(new Set(await drawings(strip)).size, 17);
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
    use(await first.newPage());
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
    use(await again.newPage());
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
