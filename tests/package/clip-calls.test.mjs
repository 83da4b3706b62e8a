// Calls of `ImageTextEmbedder` in time: made at once, aborted, after each other and after `dispose`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { coreInfo } from '../../node_modules/pilotlight/core/cpu.js';
import { ABORTED, aMoment, clip, hub, IMAGES, load, loadSlow, setUp, TEXTS } from './support/tiny-clips.mjs';

setUp();

test('calls made at once run in their order', async () => {
  const order = [];
  const noted = async (name, call) => {
    const result = await call;
    order.push(name);
    return result;
  };
  const [texts, images] = await Promise.all([
    noted('texts', clip.embedTexts(TEXTS)),
    noted('images', clip.embedImages(IMAGES)),
    noted('classify', clip.classify(IMAGES[0], ['a', 'b'])),
    noted('none', clip.embedTexts([])),
  ]);
  assert.deepEqual(order, ['texts', 'images', 'classify', 'none']);
  assert.deepEqual(texts.data, (await clip.embedTexts(TEXTS)).data);
  assert.deepEqual(images.data, (await clip.embedImages(IMAGES)).data);
});

test('two embedders work at the same time and do not mix', async () => {
  const [a, b] = await Promise.all([load('clip-tiny'), load('clip-tiny-gelu')]);
  const alone = [
    await a.embedImages(IMAGES),
    await b.embedImages(IMAGES),
    await a.embedTexts(TEXTS),
    await b.embedTexts(TEXTS),
  ];
  const together = await Promise.all([
    a.embedImages(IMAGES),
    b.embedImages(IMAGES),
    a.embedTexts(TEXTS),
    b.embedTexts(TEXTS),
  ]);
  assert.deepEqual(
    together.map(({ data }) => data),
    alone.map(({ data }) => data),
  );
  a.dispose();
  b.dispose();
});

describe('aborting', () => {
  let slow;
  before(async () => (slow = await loadSlow()));
  after(() => slow.dispose());
  const many = Array.from({ length: 12 }, () => IMAGES[4]);

  test('a signal that has fired already rejects every call', async () => {
    const signal = AbortSignal.abort('enough');
    for (const call of [
      slow.embedTexts('x', { signal }),
      slow.embedImages(IMAGES[0], { signal }),
      slow.classify(IMAGES[0], ['x'], { signal }),
      load('clip-tiny', { signal }),
    ]) {
      await assert.rejects(call, { ...ABORTED, cause: 'enough' });
    }
  });

  test('a call that runs ends between images and layers', async () => {
    const labels = Array.from({ length: 100 }, (_, i) => `${i} dogs that wait for a train at the old house`);
    for (const call of [
      (options) => slow.embedImages(many, options),
      (options) => slow.embedTexts(labels, options),
      // Vectors of labels are kept, so others each time.
      (options) =>
        slow.classify(
          IMAGES[4],
          labels.map((label) => `${label}${options.signal ? '!' : ''}`),
          options,
        ),
    ]) {
      const begun = performance.now();
      await call({});
      const whole = performance.now() - begun;
      const again = performance.now();
      await assert.rejects(call({ signal: AbortSignal.timeout(5) }), ABORTED);
      assert.ok(performance.now() - again < whole * 0.7, `${performance.now() - again} ms of ${whole}`);
    }
  });

  test('one that is aborted by its own progress reads no image more', async () => {
    const controller = new AbortController();
    let loaded = 0;
    const onProgress = (progress) => {
      loaded = progress.loaded;
      if (loaded === 2) controller.abort();
    };
    await assert.rejects(slow.embedImages(many, { signal: controller.signal, onProgress }), ABORTED);
    assert.equal(loaded, 2);
  });

  test('one that waits rejects at once, and the others go on', async () => {
    const controller = new AbortController();
    let running = true;
    const long = slow.embedImages(many).finally(() => {
      running = false;
    });
    const waiting = slow.embedImages(IMAGES[0], { signal: controller.signal });
    const next = slow.embedTexts('next');
    await aMoment();
    controller.abort();
    await assert.rejects(waiting, ABORTED);
    assert.equal(running, true);
    assert.deepEqual((await long).dims, [12, 8]);
    assert.deepEqual((await next).dims, [1, 8]);
  });

  test('one that waits for an image from a server rejects at once', async (t) => {
    hub.setFaults([{ fault: 'stall' }]);
    t.after(() => hub.setFaults([]));
    const begun = performance.now();
    await assert.rejects(
      slow.embedImages(`${hub.url}/test/clip-tiny/resolve/main/config.json`, { signal: AbortSignal.timeout(50) }),
      ABORTED,
    );
    assert.ok(performance.now() - begun < 1000);
    assert.deepEqual((await slow.embedTexts('next')).dims, [1, 8]);
  });

  test('the event loop turns while images are embedded', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const begun = performance.now();
    await slow.embedImages(many);
    clearInterval(timer);
    // Each 50 ms, and one image more.
    assert.ok(turns >= Math.max(1, (performance.now() - begun) / 100 - 1), `${turns} timers ran`);
  });
});

test('dispose lets earlier calls finish, refuses later ones, and gives the memory back', async () => {
  const round = async () => {
    const embedder = await load('clip-tiny');
    const earlier = embedder.embedImages(IMAGES);
    embedder.dispose();
    embedder.dispose();
    assert.deepEqual((await earlier).dims, [8, 24]);
    const gone = { name: 'PilotlightError', code: 'DISPOSED', message: /ImageTextEmbedder was disposed/ };
    await assert.rejects(embedder.embedImages(IMAGES[0]), gone);
    await assert.rejects(embedder.embedTexts('x'), gone);
    await assert.rejects(embedder.classify(IMAGES[0], ['x']), gone);
  };
  await round();
  const { memoryBytes } = coreInfo();
  for (let i = 0; i < 5; i++) await round();
  assert.equal(coreInfo().memoryBytes, memoryBytes);
});
