// Tests calls after a trap; the instance is dead afterwards, so this file has a process of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageTextEmbedder } from 'pilotlight';
import { trapped } from '../../node_modules/pilotlight/core/cpu.js';
import { imageFile } from './support/clip.mjs';
import { hub, setUp, TINY } from './support/two-clips.mjs';

setUp();

test('after a trap every call says so and asks for a new load, and that works', async () => {
  const first = await ImageTextEmbedder.load(TINY, { host: hub.url, dtype: 'f32', store: false });
  const expected = (await first.embedTexts('a dog')).data;
  const seen = (await first.embedImages(imageFile('24x24.png'))).data;
  trapped(new WebAssembly.RuntimeError('unreachable'));
  for (const call of [
    () => first.embedTexts('a dog'),
    () => first.embedImages(imageFile('24x24.png')),
    () => first.classify(imageFile('24x24.png'), ['a']),
  ]) {
    await assert.rejects(call(), {
      name: 'PilotlightError',
      code: 'INTERNAL',
      message: /load .*again|load it again|load anew/i,
    });
  }
  first.dispose();
  const next = await ImageTextEmbedder.load(TINY, { host: hub.url, dtype: 'f32', store: false });
  assert.deepEqual((await next.embedTexts('a dog')).data, expected);
  assert.deepEqual((await next.embedImages(imageFile('24x24.png'))).data, seen);
  next.dispose();
});
