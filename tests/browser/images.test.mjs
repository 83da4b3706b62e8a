// Images come into the page, are found by words and looked at; and the models that do it.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import {
  answered,
  button,
  cameIn,
  context,
  DRAWN,
  draw,
  folder,
  heading,
  heard,
  imageFiles,
  load,
  names,
  open,
  page,
  ready,
  scores,
  search,
  searchBox,
  setUp,
  site,
  tiles,
  visible,
} from './images-page.mjs';

setUp();

test('the page says what a model takes before it fetches anything, and loads it with a progress', async () => {
  const urls = [];
  page.on('request', (request) => urls.push(request.url()));
  await open();
  assert.equal(await page.title(), 'Pilotlight: an image library, searched inside this tab');
  const plan = () => page.getByLabel('What loading takes').innerText();
  assert.match(await plan(), /To download\s+\d+(\.\d)? [kM]B/);
  assert.equal(await page.getByLabel('Model host').isDisabled(), true);

  await page.getByText('ViT-B/32', { exact: true }).click();
  assert.equal(await page.getByLabel('Model host').inputValue(), '/hub');
  await page.getByText('It fits.').waitFor();
  assert.match(await plan(), /To download\s+\d+(\.\d)? [kM]B/);
  await button('Load the model').click();
  await ready('clip-vit-base-patch32');
  await page.getByText(/from this server in/).waitFor();
  assert.equal(await button(`Draw ${DRAWN} images`).count(), 0, 'the large model is for photos');
  assert.deepEqual(
    urls.filter((url) => !url.startsWith(`${site.url}/`) && !url.startsWith('blob:')),
    [],
  );
  assert.deepEqual(heard, []);
});

test('images are drawn, and found by words: the best one first, by what is in it and where', async () => {
  await load();
  await draw();
  assert.equal(await tiles().count(), 36);
  assert.equal(await visible(page.locator('.tile img').first()), 160);
  await button(`Show all ${DRAWN}`).click();
  assert.equal(new Set(await names()).size > DRAWN * 0.9, true);

  for (const [query, wanted] of [
    ['three red circles', /three \w+ red circles/],
    ['a blue star above a green square', /blue star above a \w+ green square/],
    ['the digit seven', /\w+ seven/],
    ['a purple heart', /purple hearts?/],
    ['black background', /on a black background/],
  ]) {
    const [first] = await search(query);
    assert.match(first, wanted, query);
  }
  const shown = await scores();
  assert.equal(shown.length, DRAWN);
  assert.deepEqual(
    shown,
    [...shown].sort((a, b) => b - a),
  );
  await page
    .getByRole('status')
    .filter({ hasText: `${DRAWN} images for “black background”, the best first: ${(await names())[0]}` })
    .waitFor({ state: 'attached' });
  assert.equal(await page.locator('.image-spot[data-best=true]').count(), 6);

  await searchBox().fill('');
  await heading(`${DRAWN} images`).waitFor();
  assert.equal(await page.locator('.tile-score').count(), 0);
  // Another hundred, and no two alike.
  await draw();
  await heading(`${2 * DRAWN} images`).waitFor();
  assert.deepEqual(heard, []);
});

test('who types on gets the answer to the last words, and who searches while images come gets one too', async () => {
  await load();
  await button(`Draw ${DRAWN} images`).click();
  await searchBox().pressSequentially('two yellow moons', { delay: 15 });
  await answered('two yellow moons');
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await cameIn(`${DRAWN} images came in.`);
  assert.equal((await scores()).length, 36);
  assert.deepEqual(heard, []);
});

test('files and folders come in; a broken one is named with its reason, one that was there already is not taken twice', async () => {
  await load();
  await draw();
  const files = await imageFiles();
  const album = path.join(folder, 'album');
  await mkdir(path.join(album, 'deeper'), { recursive: true });
  await writeFile(path.join(album, 'one.jpg'), files[0]);
  await writeFile(path.join(album, 'deeper', 'two.jpg'), files[1]);
  await writeFile(path.join(album, 'broken.png'), 'this is no image');
  await writeFile(path.join(album, 'cut.jpg'), files[2].subarray(0, 300));
  await writeFile(path.join(album, 'notes.txt'), 'nor is this');

  await page.locator('input[webkitdirectory]').setInputFiles(album);
  await cameIn('2 images came in, 1 file is no image.');
  await page.getByText('2 files could not be read').click();
  const reasons = await page.locator('.failures li').allInnerTexts();
  assert.equal(reasons.length, 2);
  assert.ok(
    reasons.some((text) => /^broken\.png .+\.$/.test(text)) && reasons.some((text) => /^cut\.jpg .+\.$/.test(text)),
    reasons.join('\n'),
  );
  assert.ok(!reasons.join().includes('images['), reasons.join('\n'));
  await heading(`${DRAWN + 2} images`).waitFor();

  await page
    .locator('input[type=file]:not([webkitdirectory])')
    .setInputFiles([path.join(album, 'one.jpg'), path.join(album, 'notes.txt')]);
  await cameIn('0 images came in, 1 was in the library already, 1 file is no image.');

  await page.locator('.add').evaluate(
    async (target, bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', { type: 'image/jpeg', lastModified: 1 }));
      target.dispatchEvent(new DragEvent('dragover', { bubbles: true, cancelable: true, dataTransfer: data }));
      target.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data }));
    },
    [...files[3]],
  );
  await cameIn('1 image came in.');
  await page.evaluate(
    (bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], 'pasted.jpg', { type: 'image/jpeg', lastModified: 2 }));
      document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
    },
    [...files[2]],
  );
  await heading(`${DRAWN + 4} images`).waitFor();
  assert.deepEqual(heard, []);
});

test('a folder that is dropped is gone through, with the folders in it', async () => {
  await load();
  await draw();
  const files = await imageFiles();
  const album = path.join(folder, 'dropped');
  await mkdir(path.join(album, 'deeper'), { recursive: true });
  await writeFile(path.join(album, 'one.jpg'), files[0]);
  await writeFile(path.join(album, 'deeper', 'two.jpg'), files[1]);
  const { x, y, width, height } = await page.locator('.add').boundingBox();
  const devtools = await context.newCDPSession(page);
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await devtools.send('Input.dispatchDragEvent', {
      type,
      x: x + width / 2,
      y: y + height / 2,
      data: { items: [], files: [album], dragOperationsMask: 1 },
    });
  }
  await cameIn('2 images came in.');
  assert.deepEqual(heard, []);
});

test('an image opens large, with labels as bars that sum to one hundred percent, and its likes beside it', async () => {
  await load();
  await draw();
  await search('a purple heart');
  await tiles().first().click();
  const dialog = page.getByRole('dialog');
  const name = await dialog.getByRole('heading', { level: 2 }).innerText();
  assert.match(name, /purple/);
  assert.equal(await visible(dialog.getByRole('img', { name })), 256);
  const bars = () =>
    page
      .locator('.bars li')
      .evaluateAll((all) =>
        all.map((row) => [row.children[0].textContent, row.children[2].textContent.replace('<1%', '0.3%')]),
      );
  const settled = async (first, count) => {
    await page.waitForFunction(
      ([first, count]) =>
        document.querySelectorAll('.bars li').length === count &&
        document.querySelector('.bars li > span').textContent === first,
      [first, count],
    );
    const rows = await bars();
    const shares = rows.map(([, text]) => Number.parseFloat(text));
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 100) <= 4, rows.join(' '));
    assert.deepEqual(
      shares,
      [...shares].sort((a, b) => b - a),
    );
  };
  await settled('heart', 11);
  await dialog.getByRole('button', { name: 'Colours' }).click();
  await settled('purple', 9);

  await dialog.getByLabel('Labels, with commas between them').fill('star, heart,, heart , arrow');
  await dialog.getByLabel(/^Caption/).fill('a purple {}');
  await settled('heart', 3);
  await dialog.getByLabel(/^Caption/).fill('no place');
  await dialog.getByText('The caption needs a place for the label').waitFor();
  assert.deepEqual(await bars(), []);
  await dialog.getByLabel('Labels, with commas between them').fill('star');
  await dialog.getByText('Give two labels or more.').waitFor();

  assert.equal(await dialog.locator('.similar button').count(), 6);
  const other = (await dialog.locator('.similar button').first().getAttribute('aria-label')).replace(/, score .*$/, '');
  await dialog.locator('.similar button').first().click();
  await dialog.getByRole('heading', { level: 2, name: other }).waitFor();

  await dialog.getByRole('button', { name: 'More like this' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await page.locator('.like', { hasText: other }).waitFor();
  assert.equal((await names())[0], other);
  assert.equal((await scores())[0], 1);
  await button('Show all').click();

  await tiles().nth(4).click();
  const gone = await dialog.getByRole('heading', { level: 2 }).innerText();
  await dialog.getByRole('button', { name: 'Remove' }).click();
  await heading(`${DRAWN - 1} images`).waitFor();
  assert.ok(!(await names()).slice(0, 8).includes(gone));
  assert.equal(await page.evaluate(() => document.activeElement.id), 'images-title');
  await button('Remove all').click();
  await page.keyboard.press('Escape');
  await button('Remove all').click();
  await button(`Remove all ${DRAWN - 1}`).click();
  await page.getByText('The library is empty.').waitFor();
  await page.reload();
  await ready();
  await page.getByText('The library is empty.').waitFor();
  assert.deepEqual(heard, []);
});

test('each model has a library of its own', async () => {
  await load();
  await draw();
  await button('Change').click();
  await page.getByText('ViT-B/32', { exact: true }).click();
  await button('Load the model').click();
  await ready('clip-vit-base-patch32');
  await page.getByText('The library is empty.').waitFor();
  await button('Change').click();
  await page.getByText('Tiny', { exact: true }).click();
  await button('Load the model').click();
  await ready();
  await heading(`${DRAWN} images`).waitFor();
  assert.ok((await search('a purple heart')).length > 0);
  assert.deepEqual(heard, []);
});

test('loading the large model can be cancelled, and goes on', async () => {
  site.setFaults([{ file: 'model.safetensors', fault: 'stall', value: 200e3 }]);
  await open();
  await page.getByText('ViT-B/32', { exact: true }).click();
  await button('Load the model').click();
  await page.getByRole('progressbar', { name: 'Loading the model' }).waitFor();
  await button('Cancel').click();
  await heading('Loading was cancelled').waitFor();
  site.setFaults([]);
  await button('Try again').click();
  await ready('clip-vit-base-patch32');
  assert.deepEqual(heard, []);
});

test('a model that cannot be had is explained, and the next try works', async () => {
  await open();
  await page.route('**/models/**', (route) => route.abort());
  await button('Load the model').click();
  const problem = page.locator('.problem');
  await problem.getByText('The tiny model could not be fetched').waitFor();
  await page.unroute('**/models/**');
  await problem.getByRole('button', { name: 'Try again' }).click();
  await ready();
});
