import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { filesOf } from '../package/support/models.mjs';
import { complaints, goldens, launch, persistentProfile, startSite } from './harness.mjs';

const HUB_MODEL = 'openai/clip-vit-base-patch32';
const DRAWN = 120;
let browser;
let site;
let context;
let page;
let heard;
let folder;

before(async () => {
  browser = await launch();
  // A tiny CLIP of random weights stands for the large one: what comes of it means nothing, but it comes the same way.
  site = await startSite({ [HUB_MODEL]: path.join(goldens, 'clip-tiny') });
  folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-pictures-'));
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

async function fresh(options = {}) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  use(await context.newPage());
}

function use(next) {
  page = next;
  // The machine may have other work.
  page.setDefaultTimeout(120_000);
  heard = complaints(page);
}

const button = (name) => page.getByRole('button', { name, exact: true });
const heading = (name) => page.getByRole('heading', { name, exact: true });
const searchBox = () => page.getByRole('searchbox', { name: 'Search the images in words' });
const tiles = () => page.locator('.tile');
const names = () => tiles().evaluateAll((all) => all.map((tile) => tile.title));
const scores = () =>
  page
    .locator('.tile-score')
    .allInnerTexts()
    .then((texts) => texts.map(Number));
const ready = (model = 'tiny-clip') => heading(`${model} is ready`).waitFor();
const cameIn = (text) => page.locator('.intake-foot').getByText(text).waitFor();
const visible = (locator) => locator.evaluate((image) => image.decode().then(() => image.naturalWidth));

async function open() {
  await page.goto(`${site.url}/#/images`);
  await page.getByText('It fits.').waitFor();
}

async function load() {
  await open();
  await button('Load the model').click();
  await ready();
}

/** As if another version of the page had written what is kept of the last so many, by their ids; without a number, of all. */
async function changeRecords(changes, last = Infinity) {
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

/** What made the vectors that are kept, each once. */
const keptSources = () =>
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

async function loadAgain() {
  await button('Change').click();
  await button('Load the model').click();
  await ready();
}

async function addFile(file) {
  await page.locator('input[type=file]:not([webkitdirectory])').setInputFiles(file);
  await cameIn('1 image came in.');
}

async function draw() {
  await button(`Draw ${DRAWN} images`).click();
  await cameIn(`${DRAWN} images came in.`);
}

/** The answer to these very words. */
const answered = (query) =>
  page
    .getByRole('status')
    .filter({ hasText: `for “${query}”, the best first` })
    .waitFor({ state: 'attached' });

/** The names of the best, the best first. */
async function search(query) {
  await searchBox().fill(query);
  await answered(query);
  return names();
}

/** What Pilotlight has in its store. */
const storedKeys = () =>
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
async function imageFiles() {
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
  await writeFile(path.join(album, 'broken.png'), 'this is no picture');
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

test('images wait for the model; a stop leaves those that came, and a reload finds them without looking at any again', async () => {
  await open();
  await button(`Draw ${DRAWN} images`).click();
  await cameIn(`${DRAWN} images wait for the model`);
  await button('Load the model').click();
  await page.getByRole('progressbar', { name: 'Images looked at' }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('.tile').length >= 3);
  await button('Stop').click();
  await cameIn(/^Stopped: \d+ of 120 images came in\.$/);
  // The one under way may still come.
  await page.waitForFunction(() =>
    document
      .querySelector('.intake-foot')
      .innerText.includes(`Stopped: ${Number.parseInt(document.querySelector('#images-title').innerText, 10)} of`),
  );
  const came = Number.parseInt(await page.locator('#images-title').innerText(), 10);
  assert.ok(came >= 3 && came < DRAWN, String(came));

  // The first search is the first answer, after which the model is looked after once more.
  const before = await search('a green ring');
  const points = await page
    .locator('.image-spot')
    .evaluateAll((all) => all.map((spot) => spot.getAttribute('transform')).sort());
  assert.ok(
    (await storedKeys()).some((key) => key.includes('pilotlight/tiny-clip') && /index/.test(key)),
    (await storedKeys()).join('\n'),
  );
  const requests = [];
  await page.reload();
  page.on('request', (request) => requests.push(request.url()));
  await heading(`${came} images`).waitFor();
  await ready();
  assert.deepEqual(await search('a green ring'), before);
  assert.deepEqual(
    await page.locator('.image-spot').evaluateAll((all) => all.map((spot) => spot.getAttribute('transform')).sort()),
    points,
  );
  assert.match(await page.locator('.image-map + .figures').innerText(), /Per image\s+–\s+none added yet/);
  assert.deepEqual(
    requests.filter((url) => url.endsWith('.safetensors')),
    [],
  );
  assert.equal(await page.locator('.intake').count(), 0);
  assert.deepEqual(heard, []);
});

test('images that other weights have seen are looked at once more, from what is kept of them', async () => {
  await load();
  await draw();
  const before = await search('a green ring');
  await changeRecords({ source: 'of last month' });
  await page.reload();
  await ready();
  await cameIn(`${DRAWN} images came in.`);
  await heading(`${DRAWN} images`).waitFor();
  assert.deepEqual(await search('a green ring'), before);
  assert.deepEqual(heard, []);
});

test('images that wait to be looked at again are shown before the model is there, and not compared with the others', async () => {
  await load();
  await draw();
  const before = await search('a green ring');
  await changeRecords({ source: 'of last month' }, 50);
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await heading(`${DRAWN} images`).waitFor();
  await page.getByText('50 images were seen by other weights or another build').waitFor();
  await page.waitForFunction((spots) => document.querySelectorAll('.image-spot').length === spots, DRAWN - 50);
  await button('Load the model').click();
  await cameIn('50 images came in.');
  await page.waitForFunction((spots) => document.querySelectorAll('.image-spot').length === spots, DRAWN);
  assert.equal(await page.getByText('seen by other weights').count(), 0);
  assert.deepEqual(await search('a green ring'), before);
  assert.deepEqual(heard, []);
});

test('what is kept of an image says what made its vector, and another build makes it anew', async () => {
  await load();
  await draw();
  const [tiny, ...others] = await keptSources();
  assert.deepEqual(others, []);
  assert.match(tiny, /^pilotlight\/tiny-clip [0-9a-f]{64} q8 relaxed-simd$/);

  // An engine that does not know the instruction of the probe, which has this byte and the other probe has not.
  await page.addInitScript(() => {
    const validate = WebAssembly.validate;
    WebAssembly.validate = (bytes) => !bytes.includes(147) && validate(bytes);
  });
  await page.reload();
  await ready();
  await page.getByText('128-bit SIMD').waitFor();
  await cameIn(`${DRAWN} images came in.`);
  assert.deepEqual(await keptSources(), [tiny.replace('relaxed-simd', 'simd128')]);
  await page.reload();
  await ready();
  await search('a green ring');
  assert.equal(await page.locator('.intake').count(), 0, 'the same build has nothing to do');
  assert.deepEqual(heard, []);
});

test('the vectors of the large model are of its files, whatever commit the host has them at', async () => {
  await open();
  await page.getByText('ViT-B/32', { exact: true }).click();
  await button('Load the model').click();
  await ready('clip-vit-base-patch32');
  await addFile(path.join(goldens, 'decode/plain.png'));
  const sources = await keptSources();
  assert.match(sources.join(), new RegExp(`^${HUB_MODEL} [0-9a-f]{64} q8 relaxed-simd$`));
  const files = filesOf(path.join(goldens, 'clip-tiny'));
  const commit = await site.push(HUB_MODEL, { ...files, 'README.md': 'More words.' });
  await page.reload();
  await ready('clip-vit-base-patch32');
  await search('a green ring');
  await page.waitForFunction(async (commit) => {
    const database = await new Promise(
      (resolve) => (indexedDB.open('pilotlight').onsuccess = ({ target }) => resolve(target.result)),
    );
    const [name] = database.objectStoreNames;
    const keys = await new Promise(
      (resolve) =>
        (database.transaction(name).objectStore(name).getAllKeys().onsuccess = ({ target }) => resolve(target.result)),
    );
    database.close();
    return keys.filter((key) => key.includes('#manifest/') && key.endsWith(`/${commit}`)).length === 2;
  }, commit);
  await page.reload();
  await ready('clip-vit-base-patch32');
  await search('a green ring');
  assert.equal(await page.locator('.intake').count(), 0);
  assert.deepEqual(await keptSources(), sources);

  // Other weights look again.
  const weights = files['model.safetensors'];
  await site.push(HUB_MODEL, {
    ...files,
    'model.safetensors': Buffer.concat([weights.subarray(0, -400), weights.subarray(-800, -400)]),
  });
  await page.evaluate(() => indexedDB.deleteDatabase('pilotlight'));
  await page.reload();
  await cameIn('1 image came in.');
  assert.notDeepEqual(await keptSources(), sources);
  await site.push(HUB_MODEL, files);
  assert.deepEqual(heard, []);
});

test('what was removed stays away when the model is loaded again, though it had been looked at again', async () => {
  await load();
  await draw();
  const [one, two] = await imageFiles();
  await changeRecords({ source: 'of last month' });
  await page.reload();
  await ready();
  await cameIn(`${DRAWN} images came in.`);
  await tiles().first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await heading(`${DRAWN - 1} images`).waitFor();
  await loadAgain();
  // Behind whatever else would be on its way.
  await addFile({ name: 'one.jpg', mimeType: 'image/jpeg', buffer: one });
  await heading(`${DRAWN} images`).waitFor();

  await button('Remove all').click();
  await button(`Remove all ${DRAWN}`).click();
  await page.getByText('The library is empty.').waitFor();
  await loadAgain();
  await addFile({ name: 'two.jpg', mimeType: 'image/jpeg', buffer: two });
  await heading('1 image').waitFor();
  await page.reload();
  await ready();
  await heading('1 image').waitFor();
  assert.deepEqual(heard, []);
});

test('all images are removed while the likes of one are shown: those that come then are shown', async () => {
  await load();
  await draw();
  await tiles().first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'More like this' }).click();
  await heading('Best first').waitFor();
  await button('Remove all').click();
  await button(`Remove all ${DRAWN}`).click();
  await page.getByText('The library is empty.').waitFor();
  await addFile(path.join(goldens, 'decode/plain.png'));
  await heading('1 image').waitFor();
  assert.equal(await tiles().count(), 1);
  assert.deepEqual(heard, []);
});

test('who stops the model from looking again can have it go on', async () => {
  await load();
  await draw();
  await changeRecords({ source: 'of last month' });
  await page.reload();
  await button('Stop').click();
  await cameIn(/^Stopped: /);
  await button('Look again').click();
  await cameIn(/ came in\.$/);
  await page.getByText('seen by other weights').waitFor({ state: 'detached' });
  assert.equal((await search('a green ring')).length > 0, true);
  assert.deepEqual(heard, []);
});

test('all images are removed while more are coming: those do not come any more', async () => {
  // Else all of them might be there before the button is found.
  await page.addInitScript(() => {
    const decode = createImageBitmap;
    window.createImageBitmap = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return decode(...args);
    };
  });
  await load();
  await button(`Draw ${DRAWN} images`).click();
  await page.waitForFunction(() => document.querySelectorAll('.tile').length >= 3);
  await button('Remove all').click();
  await page.getByRole('button', { name: /^Remove all \d+$/ }).click();
  await cameIn(/^Stopped: \d+ of 120 images came in\.$/);
  await page.getByText('The library is empty.').waitFor();
  await addFile(path.join(goldens, 'decode/plain.png'));
  await heading('1 image').waitFor();
  await page.reload();
  await heading('1 image').waitFor();
  assert.deepEqual(heard, []);
});

for (const [doing, call, act] of [
  ['an image is opened', 'indexcore_search', () => tiles().first().click()],
  ['words are searched for', 'indexcore_search', () => searchBox().fill('a purple heart')],
  ['an open image is labelled', 'imagetextcore_classify', () => tiles().first().click()],
]) {
  test(`a trap while ${doing} is said in the card, and a reload helps`, async () => {
    // The core traps at one call, as a defect would make it, and then at all others: everything else is the real thing.
    await page.addInitScript(() => {
      let trapped = false;
      const trapping =
        (name, call) =>
        (...args) => {
          trapped ||= name === window.trapsAt;
          if (trapped) throw new WebAssembly.RuntimeError('unreachable');
          return call(...args);
        };
      const wrap = ({ exports }) => ({
        exports: Object.fromEntries(
          Object.entries(exports).map(([name, value]) => [
            name,
            typeof value === 'function' ? trapping(name, value) : value,
          ]),
        ),
      });
      const streaming = WebAssembly.instantiateStreaming;
      WebAssembly.instantiateStreaming = async (...args) => {
        const { instance, module } = await streaming.apply(WebAssembly, args);
        return { instance: wrap(instance), module };
      };
    });
    await load();
    await draw();
    await page.evaluate((call) => (window.trapsAt = call), call);
    await act();
    const problem = page.locator('.problem');
    await problem.getByText('Something broke inside Pilotlight').waitFor();
    assert.equal(await problem.getAttribute('data-code'), 'INTERNAL');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await button('Reload the page').click();
    await ready();
    await heading(`${DRAWN} images`).waitFor();
  });
}

test('a browser that keeps nothing says so, and searches all the same', async () => {
  await page.addInitScript(() => {
    const open = indexedDB.open.bind(indexedDB);
    indexedDB.open = (name, ...rest) => {
      if (name === 'pilotlight-pictures') throw new DOMException('Storage is switched off.', 'SecurityError');
      return open(name, ...rest);
    };
  });
  await load();
  await page.getByText('This browser does not keep the images').waitFor();
  await draw();
  assert.equal((await search('a purple heart')).length, 36);
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
