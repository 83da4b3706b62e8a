import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { diagnose, TextEmbedder } from 'pilotlight';
import { filesOf, tinyFolder } from './support/models.mjs';

let embedder;
before(
  async () =>
    (embedder = await TextEmbedder.load('test/tiny', {
      files: filesOf(tinyFolder('bert-tiny-mean')),
      dtype: 'f32',
      store: false,
    })),
);
after(() => embedder.dispose());

/** Finite values of length 1. */
async function assertEmbeds(text) {
  const { data, dims } = await embedder.embed(text);
  assert.deepEqual(dims, [1, 32]);
  assert.ok(Math.abs(Math.hypot(...data) - 1) < 1e-4, `length ${Math.hypot(...data)}`);
}

test('an empty list gives no rows', async () => {
  const { data, dims, tokens, truncated } = await embedder.embed([]);
  assert.deepEqual([data.length, dims, tokens, truncated], [0, [0, 32], [], []]);
});

for (const [what, text] of [
  ['an empty text', ''],
  ['blanks only', ' \t\n\u00a0\u3000'],
  ['NUL', '\0'],
  ['NUL inside a text', 'a\0b'],
  ['a high surrogate alone', '\ud83d'],
  ['a low surrogate alone', 'a\udc00b'],
  ['surrogates in the wrong order', '\udc00\ud83d'],
  ['emoji with joiners and skin tones', '👩🏽‍🚀👨‍👩‍👧‍👦🏴‍☠️'],
  ['a combining mark without a base', '\u0301'],
  ['right-to-left and direction marks', '\u202eسلام עולם\u202c'],
  ['noncharacters', '\uffff\ufdd0\u{10ffff}'],
]) {
  test(`${what} has a vector`, () => assertEmbeds(text));
}

test('a lone surrogate counts as the replacement character', async () => {
  assert.deepEqual((await embedder.embed('a\ud83db')).data, (await embedder.embed('a\ufffdb')).data);
});

test('a text of 1 MB is cut, says so, and takes little memory', async () => {
  const before = (await diagnose()).cpuCore.memoryBytes;
  for (const text of ['word '.repeat(200_000), 'x'.repeat(1_000_000), '火'.repeat(333_333), ' '.repeat(1_000_000)]) {
    const { tokens, truncated } = await embedder.embed(text);
    assert.ok(tokens[0] <= embedder.maxTokens);
    if (text.startsWith('word')) assert.deepEqual([tokens[0], truncated], [embedder.maxTokens, [true]]);
  }
  const grown = (await diagnose()).cpuCore.memoryBytes - before;
  assert.ok(grown <= 12 << 20, `memory grew by ${grown} bytes`);
});

for (const [what, texts, says] of [
  ['undefined', undefined, /texts/],
  ['null', null, /texts/],
  ['a number', 7, /texts/],
  ['an object', { text: 'x' }, /texts/],
  ['a Symbol', Symbol('x'), /texts/],
  ['a String object', Object('boxed'), /texts/],
  ['a number in a list', ['fine', 7], /texts\[1\]/],
  // biome-ignore lint/suspicious/noSparseArray: the hole is what is tested
  ['a hole in a list', ['fine', , 'fine'], /texts\[1\]/],
  ['a list in a list', [['deep']], /texts\[0\]/],
]) {
  test(`${what} is refused, and the embedder goes on`, async () => {
    await assert.rejects(embedder.embed(texts), { name: 'PilotlightError', code: 'INVALID_INPUT', message: says });
    await assertEmbeds('next');
  });
}
