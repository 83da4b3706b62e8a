// Digits that a person draws are read; and the page of digits by keyboard, on a phone and in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  button,
  choice,
  context,
  draw,
  fresh,
  heard,
  ink,
  number,
  open,
  page,
  ringed,
  seed,
  setUp,
  status,
  verdict,
  written,
  writtenAnew,
} from './digits-page.mjs';

setUp();

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
