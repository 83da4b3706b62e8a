import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { TINY, tolerance } from '../package/support/goldens.mjs';
import {
  cosine,
  embedInPage,
  launch,
  MINILM,
  maxAbsError,
  mean,
  minilm,
  minilmGolden,
  packageFolder,
  startBench,
  tinyGolden,
} from './harness.mjs';

const BUILDS = { simd: 'simd128', relaxed: 'relaxed-simd' };
let browser;
let bench;
const tiny = {};

before(async () => {
  for (const name of TINY) tiny[name] = await tinyGolden(name);
  browser = await launch();
  bench = await startBench({
    [MINILM]: minilm,
    ...Object.fromEntries(TINY.map((name) => [`tiny/${name}`, tiny[name].folder])),
  });
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

async function inPage(work) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    return await work(page);
  } finally {
    await context.close();
  }
}

const embed = (request) =>
  inPage(async (page) => {
    const answer = await embedInPage(page, request);
    assert.equal(answer.error, undefined, JSON.stringify(answer.error));
    return answer;
  });

test('every shipped wasm file compiles in Chromium', async () => {
  const files = (await readdir(path.join(packageFolder, 'core'))).filter((name) => name.endsWith('.wasm'));
  assert.deepEqual(files.sort(), ['images.wasm', 'relaxed.wasm', 'simd.wasm', 'threads.wasm', 'webgpu.wasm']);
  for (const file of files) {
    const exported = await inPage((page) =>
      page.evaluate(
        async (url) =>
          WebAssembly.Module.exports(await WebAssembly.compile(await (await fetch(url)).arrayBuffer())).length,
        `/package/core/${file}`,
      ),
    );
    assert.ok(exported > 5, `${file} exports ${exported} names`);
  }
});

for (const [build, simd] of Object.entries(BUILDS)) {
  for (const name of TINY) {
    test(`${name} on ${build}.wasm equals PyTorch in all values`, async () => {
      const { cases, dimensions, max_tokens } = tiny[name].expected;
      const answer = await embed({
        model: `tiny/${name}`,
        wasm: build,
        options: { device: 'cpu', dtype: 'f32' },
        texts: cases.map(({ text }) => text),
      });
      assert.equal(answer.backend.simd, simd);
      // Null where no text is too long.
      assert.deepEqual([answer.dimensions, answer.maxTokens], [dimensions, max_tokens ?? Infinity]);
      assert.deepEqual(
        answer.tokens,
        cases.map(({ ids }) => ids.length),
      );
      assert.deepEqual(
        answer.truncated,
        cases.map(({ truncated }) => truncated),
      );
      const error = maxAbsError(
        answer.vectors,
        cases.map(({ embedding }) => embedding),
      );
      assert.ok(error <= tolerance(name), `max abs error ${error}`);
    });
  }
}

test('MiniLM in f32 equals transformers in all 384 values of every golden sentence', async (t) => {
  const { cases, dimensions, max_tokens } = await minilmGolden();
  const answer = await embed({ options: { device: 'cpu', dtype: 'f32' }, texts: cases.map(({ text }) => text) });
  assert.ok(cases.length >= 64);
  assert.deepEqual([answer.dimensions, answer.maxTokens], [dimensions, max_tokens]);
  assert.deepEqual(
    answer.tokens,
    cases.map(({ ids }) => ids.length),
  );
  assert.deepEqual(
    answer.truncated,
    cases.map(({ truncated }) => truncated),
  );
  const error = maxAbsError(
    answer.vectors,
    cases.map(({ embedding }) => embedding),
  );
  t.diagnostic(`max abs error ${error.toExponential(1)} over ${cases.length} texts`);
  assert.ok(error <= tolerance('minilm'), `max abs error ${error}`);
});

test('MiniLM in q8 stays near transformers on both builds, and the builds near each other', async (t) => {
  const { cases } = await minilmGolden();
  const rows = {};
  for (const [build, simd] of Object.entries(BUILDS)) {
    const answer = await embed({
      wasm: build,
      options: { device: 'cpu', dtype: 'q8' },
      texts: cases.map(({ text }) => text),
    });
    assert.deepEqual([answer.backend.simd, answer.backend.dtype], [simd, 'q8']);
    rows[build] = answer.vectors;
    const cosines = answer.vectors.map((row, i) => cosine(row, cases[i].embedding));
    t.diagnostic(
      `${build}: cosine to PyTorch, mean ${mean(cosines).toFixed(5)}, least ${Math.min(...cosines).toFixed(5)}`,
    );
    assert.ok(mean(cosines) >= 0.995, `${build}: mean cosine ${mean(cosines)}`);
    assert.ok(Math.min(...cosines) >= 0.975, `${build}: least cosine ${Math.min(...cosines)}`);
  }
  const between = rows.simd.map((row, i) => cosine(row, rows.relaxed[i]));
  assert.ok(Math.min(...between) >= 0.99, `least cosine between the builds ${Math.min(...between)}`);
});

test('a text has the same bits alone, first and last in a batch of 16', async () => {
  const { cases } = await minilmGolden();
  const others = cases.slice(1, 16).map(({ text }) => text);
  const { text } = cases[40];
  for (const wasm of Object.keys(BUILDS)) {
    const options = { device: 'cpu', dtype: 'q8' };
    const alone = (await embed({ wasm, options, texts: [text] })).vectors[0];
    assert.deepEqual((await embed({ wasm, options, texts: [text, ...others] })).vectors[0], alone);
    assert.deepEqual((await embed({ wasm, options, texts: [...others, text] })).vectors[15], alone);
  }
});
