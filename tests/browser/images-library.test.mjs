// The library of images: what is kept of them, when they are looked at again, and what is removed.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { filesOf } from '../package/support/models.mjs';
import { beforeWorkers, goldens } from './harness.mjs';
import {
  addFile,
  button,
  cameIn,
  changeRecords,
  DRAWN,
  draw,
  HUB_MODEL,
  heading,
  heard,
  imageFiles,
  keptSources,
  load,
  loadAgain,
  open,
  page,
  ready,
  search,
  searchBox,
  setUp,
  site,
  storedKeys,
  tiles,
} from './images-page.mjs';

setUp();

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
  const forget = () => {
    const validate = WebAssembly.validate;
    WebAssembly.validate = (bytes) => !bytes.includes(147) && validate(bytes);
  };
  await page.addInitScript(forget);
  await beforeWorkers(page, forget);
  const reload = async () => {
    // A service worker would answer with the worker's script as it was.
    await page.evaluate(async () => {
      for (const registration of await navigator.serviceWorker.getRegistrations()) await registration.unregister();
    });
    await page.reload();
  };
  await reload();
  await ready();
  await page.getByText('128-bit SIMD').waitFor();
  await cameIn(`${DRAWN} images came in.`);
  assert.deepEqual(await keptSources(), [tiny.replace('relaxed-simd', 'simd128')]);
  await reload();
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
  ['an image is opened', 'vectorindexhandle_search', () => tiles().first().click()],
  ['words are searched for', 'vectorindexhandle_search', () => searchBox().fill('a purple heart')],
  ['an open image is labelled', 'imagetextembedderhandle_classify', () => tiles().first().click()],
]) {
  test(`a trap while ${doing} is said in the card, and a reload helps`, async () => {
    // A core traps at one call, as a defect would make it, and then at all others: everything else is the real thing.
    const trapAt = (call) => {
      globalThis.trapsAt = call;
      let trapped = false;
      const trapping =
        (name, call) =>
        (...args) => {
          trapped ||= name === globalThis.trapsAt;
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
    };
    await page.addInitScript(trapAt);
    await beforeWorkers(page, trapAt, call);
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
