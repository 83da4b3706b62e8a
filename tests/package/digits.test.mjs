// The digit generator and its judge, as a user of the package meets them.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { DigitGenerator, PilotlightError } from 'pilotlight';
import { DigitJudge } from 'pilotlight/judge';
import { ROOT } from './support/models.mjs';

const PIXELS = 784;
let generator;
let judge;

before(async () => {
  generator = await DigitGenerator.load({ device: 'cpu' });
  judge = await DigitJudge.load(generator);
});

after(() => {
  judge.dispose();
  generator.dispose();
});

test('digits are drawn that the judge reads as what they are', async () => {
  const drawn = await generator.generate({ text: '0123456789', count: 3, seed: 11 });
  assert.deepEqual(drawn.dims, [30, 28, 28]);
  assert.deepEqual(drawn.digits.slice(8, 12), [8, 9, 0, 1]);
  assert.equal(drawn.data.length, 30 * PIXELS);
  const readings = await judge.read(drawn.data);
  const right = readings.filter(({ digit }, i) => digit === drawn.digits[i]);
  // 99 in 100 are; two of thirty may not be.
  assert.ok(right.length >= 28, `${right.length} of 30`);
  for (const { digit, probability, probabilities } of readings) {
    assert.equal(probabilities[digit], probability);
    assert.ok(Math.abs(probabilities.reduce((sum, p) => sum + p) - 1) < 1e-5);
  }
});

test('the same seed gives the same digits, alone or among others, and another seed gives others', async () => {
  const options = { digits: [4, 2], count: 2, seed: 2 ** 53 - 1 };
  const [once, again] = [await generator.generate(options), await generator.generate(options)];
  assert.deepEqual(once.data, again.data);
  assert.equal(once.seed, options.seed);
  const first = await generator.generate({ digit: 4, seed: options.seed });
  assert.deepEqual(first.data, once.data.slice(0, PIXELS));
  const other = await generator.generate({ digit: 4, seed: 0 });
  assert.notDeepEqual(other.data, first.data);
  const fresh = await generator.generate({ digit: 4 });
  assert.deepEqual((await generator.generate({ digit: 4, seed: fresh.seed })).data, fresh.data);
});

test('steps and guidance change the digit', async () => {
  const usual = await generator.generate({ digit: 8, seed: 1 });
  for (const options of [{ steps: 3 }, { guidance: 1 }, { guidance: 4 }]) {
    assert.notDeepEqual((await generator.generate({ digit: 8, seed: 1, ...options })).data, usual.data);
  }
});

test('steps are shown as they are made, the last one is the result', async () => {
  const shown = [];
  const drawn = await generator.generate({ digit: 3, seed: 5, steps: 6, onStep: (step) => shown.push(step) });
  assert.deepEqual(
    shown.map(({ step, steps }) => [step, steps]),
    [1, 2, 3, 4, 5, 6].map((step) => [step, 6]),
  );
  assert.deepEqual(shown.at(-1).digits.data, drawn.data);
  // Noise at first: few pixels are paper. A digit at last: most are.
  const paper = ({ data }) => data.filter((grey) => grey < 16).length / PIXELS;
  assert.ok(paper(shown[0].digits) < 0.6, `${paper(shown[0].digits)}`);
  assert.ok(paper(drawn) > 0.6, `${paper(drawn)}`);
  // A listener that throws does no harm.
  const alike = await generator.generate({ digit: 3, seed: 5, steps: 6, onStep: () => assert.fail('on purpose') });
  assert.deepEqual(alike.data, drawn.data);
});

test('a morph begins and ends at its digits, by class, by seed or by both', async () => {
  for (const to of [{ digit: 8 }, { digit: 3, seed: 9 }, { digit: 7, seed: 1 }]) {
    const morph = await generator.morph({ from: { digit: 3, seed: 4 }, to, count: 5 });
    assert.deepEqual(morph.dims, [5, 28, 28]);
    assert.deepEqual(morph.digits, [3, 3, to.digit, to.digit, to.digit]);
    const ends = [
      await generator.generate({ digit: 3, seed: 4 }),
      await generator.generate({ digit: to.digit, seed: to.seed ?? 4 }),
    ];
    assert.deepEqual(morph.data.slice(0, PIXELS), ends[0].data);
    assert.deepEqual(morph.data.slice(4 * PIXELS), ends[1].data);
  }
});

/** The grey values of a PNG as written here: one chunk of data, no filters. */
async function unpack(blob) {
  const bytes = Buffer.from(await blob.arrayBuffer());
  assert.equal(blob.type, 'image/png');
  assert.equal(bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  assert.equal(bytes.subarray(37, 41).toString(), 'IDAT');
  const rows = inflateSync(bytes.subarray(41, 41 + bytes.readUInt32BE(33)));
  const grey = Array.from({ length: height }, (_, y) => [
    ...rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)),
  ]).flat();
  return { width, height, grey: Uint8Array.from(grey) };
}

test('digits become PNG files, alone and side by side', async () => {
  const drawn = await generator.generate({ text: '31415', seed: 6 });
  const one = await unpack(await drawn.toBlob(2));
  assert.deepEqual([one.width, one.height], [28, 28]);
  assert.deepEqual(one.grey, drawn.data.slice(2 * PIXELS, 3 * PIXELS));
  const grid = drawn.toGrid(2);
  assert.deepEqual(grid.dims, [84, 56]);
  const all = await unpack(await grid.toBlob());
  assert.deepEqual([all.width, all.height], [56, 84]);
  assert.deepEqual(all.grey, grid.data);
  // The fourth digit: second row, second column.
  assert.deepEqual(grid.data.slice(28 * 56 + 28, 28 * 56 + 56), drawn.data.slice(3 * PIXELS, 3 * PIXELS + 28));
  assert.deepEqual(drawn.toGrid().dims, [28, 140]);
  assert.deepEqual((await generator.generate({ digit: 1, count: 5, steps: 1 })).toGrid().dims, [56, 84]);
  assert.throws(() => drawn.toImageData(), { code: 'BACKEND_UNAVAILABLE' });
});

for (const [what, options, message] of [
  ['no options', undefined, /^options: expected an object/],
  ['nothing to draw', {}, /^digit, digits, text: expected one of them, got none/],
  ['two things to draw', { digit: 1, text: '1' }, /got digit and text/],
  ['a digit of two', { digit: 10 }, /^digit: expected a whole number from 0 to 9, got 10/],
  ['a negative digit', { digit: -1 }, /from 0 to 9, got -1/],
  ['half a digit', { digit: 0.5 }, /from 0 to 9, got 0.5/],
  ['a digit as text', { digit: '3' }, /from 0 to 9, got string/],
  ['no digits', { digits: [] }, /^digits: expected an array of digits from 0 to 9, got an empty one/],
  ['a wrong digit among others', { digits: [1, 11] }, /^digits\[1\]: expected a whole number from 0 to 9, got 11/],
  ['words', { text: 'two' }, /^text: expected digits from 0 to 9, such as '2026', got 'two'/],
  ['an empty text', { text: '' }, /^text: expected digits/],
  ['count 0', { digit: 1, count: 0 }, /^count: expected a whole number from 1 to 10000, got 0/],
  ['count 1e9', { digit: 1, count: 1e9 }, /^count: expected a whole number from 1 to 10000, got 1000000000/],
  ['too many in all', { text: '2026', count: 2501 }, /^count: expected a whole number from 1 to 2500, got 2501/],
  ['a text that is too long', { text: '1'.repeat(10_001) }, /^text: expected 10000 digits at most, got 10001/],
  ['a negative seed', { digit: 1, seed: -1 }, /^seed: expected a whole number from 0 to 9007199254740991, got -1/],
  ['a seed that is no number', { digit: 1, seed: NaN }, /^seed: .* got NaN/],
  ['NaN steps', { digit: 1, steps: NaN }, /steps is NaN, expected a whole number from 1/],
  ['no steps', { digit: 1, steps: 0 }, /steps is 0, expected 1 to 100/],
  ['1e9 steps', { digit: 1, steps: 1e9 }, /steps is 1000000000, expected 1 to 100/],
  ['NaN guidance', { digit: 1, guidance: NaN }, /guidance is NaN, expected 0 to 20/],
  ['too much guidance', { digit: 1, guidance: 21 }, /guidance is 21, expected 0 to 20/],
  ['guidance in words', { digit: 1, guidance: 'much' }, /guidance is string, expected a number/],
  ['a listener that is none', { digit: 1, onStep: 'log' }, /^onStep: expected a function, got string/],
  ['a signal that is none', { digit: 1, signal: {} }, /^signal: expected an AbortSignal/],
]) {
  test(`${what}: INVALID_INPUT that names the range`, async () => {
    const outcome = await generator.generate(options).then(
      () => assert.fail('it was drawn'),
      (error) => error,
    );
    assert.ok(outcome instanceof PilotlightError, String(outcome));
    assert.equal(outcome.code, 'INVALID_INPUT');
    assert.match(outcome.message, message);
    assert.equal((await generator.generate({ digit: 1, seed: 1, steps: 1 })).data.length, PIXELS);
  });
}

test('a morph of nothing, of one digit, of a wrong digit: INVALID_INPUT', async () => {
  for (const [options, message] of [
    [{ to: { digit: 1 } }, /^from: expected an object with a digit, got undefined/],
    [{ from: { digit: 1 }, to: 3 }, /^to: expected an object with a digit, got number/],
    [{ from: { digit: 1 }, to: { digit: 12 } }, /^to\.digit: .* from 0 to 9, got 12/],
    [{ from: { digit: 1, seed: -3 }, to: { digit: 2 } }, /^from\.seed: .* got -3/],
    [{ from: { digit: 1 }, to: { digit: 2 }, count: 1 }, /^count: expected a whole number from 2 to 10000, got 1/],
  ]) {
    await assert.rejects(generator.morph(options), { code: 'INVALID_INPUT', message });
  }
});

test('indices and columns that are not there are refused', async () => {
  const drawn = await generator.generate({ digit: 1, seed: 1, steps: 1 });
  await assert.rejects(drawn.toBlob(1), {
    code: 'INVALID_INPUT',
    message: /^index: expected a whole number from 0 to 0, got 1/,
  });
  assert.throws(() => drawn.toImageData(-1), { code: 'INVALID_INPUT' });
  for (const columns of [0, 2, 0.5, NaN])
    assert.throws(() => drawn.toGrid(columns), { code: 'INVALID_INPUT', message: /^columns: / });
});

test('aborting ends within a step, while it waits or draws, and the next call works', async () => {
  const waiting = new AbortController();
  const drawing = new AbortController();
  let steps = 0;
  const first = generator.generate({
    digit: 5,
    count: 40,
    steps: 50,
    signal: drawing.signal,
    onStep: ({ step }) => {
      steps = step;
      if (step === 2) drawing.abort();
    },
  });
  const second = generator.generate({ digit: 6, signal: waiting.signal });
  waiting.abort();
  await assert.rejects(second, { code: 'ABORTED' });
  assert.ok(steps < 2, 'the one that waited had to wait no longer');
  await assert.rejects(first, { code: 'ABORTED' });
  assert.equal(steps, 2);
  await assert.rejects(generator.generate({ digit: 1, signal: AbortSignal.abort() }), { code: 'ABORTED' });
  await assert.rejects(DigitGenerator.load({ signal: AbortSignal.abort() }), { code: 'ABORTED' });
  assert.equal((await generator.generate({ digit: 1, steps: 1 })).digits[0], 1);
});

test('what was disposed of says so, what is constructed by hand too', async () => {
  const other = await DigitGenerator.load({ device: 'cpu' });
  const drawing = other.generate({ digit: 2, seed: 1 });
  other.dispose();
  other.dispose();
  assert.deepEqual((await drawing).data, (await generator.generate({ digit: 2, seed: 1 })).data);
  await assert.rejects(other.generate({ digit: 2 }), { code: 'DISPOSED' });
  assert.throws(() => new DigitGenerator(), { code: 'INVALID_INPUT' });
  assert.throws(() => new DigitJudge(), { code: 'INVALID_INPUT' });
  await assert.rejects(DigitJudge.load(generator, { signal: AbortSignal.abort() }), { code: 'ABORTED' });
  const refused = await DigitJudge.load({}).catch((error) => error);
  // One class for all scripts of the package.
  assert.ok(refused instanceof PilotlightError && refused instanceof Error);
  assert.equal(refused.code, 'INVALID_INPUT');
  assert.match(refused.message, /expected a DigitGenerator/);
  assert.ok(!(new Error('other') instanceof PilotlightError));
});

test('the judge refuses what is no digit', async () => {
  for (const digits of [undefined, [1], new Uint8Array(), new Uint8Array(783), new Float32Array(784)]) {
    await assert.rejects(judge.read(digits), {
      code: 'INVALID_INPUT',
      message: /^digits: expected a Uint8Array of 784/,
    });
  }
});

test('own weights are read, and damaged ones are an error that leaves all else working', async () => {
  const { base64 } = await import('../../node_modules/pilotlight/weights/generator.js');
  const weights = Buffer.from(base64, 'base64');
  const events = [];
  const own = await DigitGenerator.load({
    device: 'cpu',
    weights: new Blob([weights]),
    onProgress: ({ status }) => events.push(status),
  });
  assert.deepEqual(
    (await own.generate({ digit: 9, seed: 3 })).data,
    (await generator.generate({ digit: 9, seed: 3 })).data,
  );
  assert.equal(events.at(-1), 'ready');
  own.dispose();
  for (const broken of [weights.subarray(0, -1), weights.subarray(0, 100), Buffer.from('<html>'), new Uint8Array()]) {
    await assert.rejects(DigitGenerator.load({ device: 'cpu', weights: broken }), { code: 'INVALID_WEIGHTS' });
  }
  await assert.rejects(DigitGenerator.load({ weights: 'digits' }), { code: 'INVALID_INPUT' });
  await assert.rejects(DigitGenerator.load({ device: 'tpu' }), { code: 'INVALID_INPUT' });
  assert.equal((await generator.generate({ digit: 1, steps: 1 })).digits[0], 1);
});

test('a Worker at the edge draws the same way', async (t) => {
  const outdir = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-digits-'));
  t.after(() => rmSync(outdir, { recursive: true, force: true }));
  const contents = `
    import { DigitGenerator } from 'pilotlight';
    export default {
      async fetch() {
        const generator = await DigitGenerator.load();
        const drawn = await generator.generate({ digit: 7, seed: 2 });
        return new Response(await drawn.toBlob());
      },
    };`;
  await build({
    stdin: { contents, resolveDir: ROOT },
    outfile: path.join(outdir, 'index.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.wasm': 'copy' },
  });
  const worker = new Miniflare({
    modules: true,
    rootPath: outdir,
    modulesRoot: outdir,
    scriptPath: 'index.js',
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2026-07-01',
  });
  t.after(() => worker.dispose());
  const response = await worker.dispatchFetch('http://worker/');
  assert.equal(response.status, 200);
  const { grey } = await unpack(new Blob([await response.arrayBuffer()], { type: 'image/png' }));
  const [{ digit }] = await judge.read(grey);
  assert.equal(digit, 7);
});
