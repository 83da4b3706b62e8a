// Measures MiniLM on WebGPU in each format of weights, in turn in one page of Chromium, on its software adapter SwiftShader.
//
//   node benches/gpu-dtypes.mjs [--rounds 5] [--dtypes f32,f16,q8,q4] [--before DIR]
//
// `--before` names the folder of another build of the package, whose f32 is measured in the same turns.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { launch, MINILM, minilm, startBench } from '../tests/browser/harness.mjs';
import { ofTokens, wholeWords } from './inputs.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    dtypes: { type: 'string', default: 'f32,f16,q8,q4' },
    before: { type: 'string' },
  },
});
const words = wholeWords(minilm);
const cases = { '1x16': [1, 16], '1x128': [1, 128], '8x32': [8, 32] };
const texts = Object.fromEntries(Object.entries(cases).map(([name, size]) => [name, ofTokens(words, ...size).texts]));
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const before = options.before ? readdirSync(options.before, { recursive: true }) : [];
const files = Object.fromEntries(before.map((name) => [`/before/${name}`, path.join(options.before, name)]));
const bench = await startBench(undefined, { files });
const browser = await launch({ softwareGpu: true });
try {
  const page = await browser.newPage();
  await page.goto(bench.url);
  const contestants = options.dtypes.split(',').map((dtype) => ({ name: dtype, dtype, from: '/package' }));
  if (options.before) contestants.push({ name: 'f32 before', dtype: 'f32', from: '/before' });
  const times = await page.evaluate(
    async ({ contestants, texts, rounds, model }) => {
      for (const contestant of contestants) {
        const { TextEmbedder } = await import(`${contestant.from}/web.js`);
        const place = { host: `${location.origin}/hub`, store: false, device: 'webgpu', worker: false };
        contestant.embedder = await TextEmbedder.load(model, { ...place, dtype: contestant.dtype });
        const { device, reason } = contestant.embedder.backend;
        if (device !== 'webgpu') throw new Error(reason);
      }
      const times = {};
      for (const [size, list] of Object.entries(texts)) {
        times[size] = Object.fromEntries(contestants.map(({ name }) => [name, []]));
        // The first round makes pipelines and buffers.
        for (let round = 0; round <= rounds; round++) {
          for (const { name, embedder } of contestants) {
            const start = performance.now();
            await embedder.embed(list);
            if (round > 0) times[size][name].push(performance.now() - start);
          }
        }
      }
      return times;
    },
    { contestants, texts, rounds: Number(options.rounds), model: MINILM },
  );
  for (const [size, of] of Object.entries(times)) {
    const base = median(of.f32 ?? Object.values(of)[0]);
    const shown = Object.entries(of).map(
      ([name, values]) => `${name} ${median(values).toFixed(1)} ms (${(median(values) / base).toFixed(2)})`,
    );
    console.log(`${size}: ${shown.join(', ')}`);
  }
} finally {
  await browser.close();
  await bench.close();
}
