// Measures WebGPU without a browser: the package's WebGPU core and onnxruntime-web's WebGPU build, both on Dawn in Node, in turn.
//
//   node benches/gpu.mjs --minilm DIR --minilm-onnx FILE [--clip DIR --clip-onnx FILE] [--package DIR] [--rounds 20] [--case NAME]
//     [--dtypes f32,f16,q8,q4] [--software] [--json FILE]
//
// The folders are of models as the package loads them, the ONNX files those that export_onnx.py and export_clip_onnx.py write of the same
// weights. Without a card, `--software` takes the SwiftShader of Debian's Chromium. Answers are compared before anything
// is timed: with those of onnxruntime-web, or without its file with ours in f32.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { create, globals } from 'webgpu';
import { ofTokens, wholeWords } from './inputs.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    minilm: { type: 'string', default: path.join(here, '../.models/all-MiniLM-L6-v2') },
    'minilm-onnx': { type: 'string', default: path.join(here, 'onnx/minilm-f32.onnx') },
    clip: { type: 'string' },
    'clip-onnx': { type: 'string' },
    dtypes: { type: 'string', default: 'f32,f16,q8' },
    software: { type: 'boolean', default: false },
    package: { type: 'string', default: path.join(here, '../dist/package') },
    rounds: { type: 'string', default: '20' },
    case: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
/** Debian's Chromium brings a Vulkan loader and SwiftShader. */
const CHROMIUM = '/usr/lib/chromium';
const rounds = Number(options.rounds);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

// The system's loader reads these variables when a process starts.
if (options.software && !process.env.VK_DRIVER_FILES) {
  const software = { LD_LIBRARY_PATH: CHROMIUM, VK_DRIVER_FILES: path.join(CHROMIUM, 'vk_swiftshader_icd.json') };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), {
    env: { ...process.env, ...software },
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}

// WebGPU as onnxruntime-web expects it. Ours would find it by itself.
Object.assign(globalThis, globals);
Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]), userAgent: 'Node' } });

// The memory of onnxruntime-web is shared by threads, and Dawn's binding takes only bytes that are not.
const { writeBuffer } = GPUQueue.prototype;
GPUQueue.prototype.writeBuffer = function (buffer, offset, data, start = 0, size = undefined) {
  const isShared = data.buffer instanceof SharedArrayBuffer;
  if (!isShared) return writeBuffer.call(this, buffer, offset, data, start, size);
  return writeBuffer.call(this, buffer, offset, data.slice(start, size && start + size));
};

const { ImageTextEmbedder, TextEmbedder } = await import(pathToFileURL(path.join(options.package, 'inline.js')).href);
const ort = await import('./node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs');

/** The files of a model's folder, as the option `files` takes them. */
function filesOf(folder) {
  const names = readdirSync(folder, { recursive: true }).filter((name) => /\.(json|txt|safetensors)$/.test(name));
  return Object.fromEntries(names.map((name) => [name, readFileSync(path.join(folder, name))]));
}

/** Loads ours in each format of weights. */
async function load(Class, folder) {
  const models = {};
  for (const dtype of options.dtypes.split(','))
    models[dtype] = await Class.load('bench/model', { files: filesOf(folder), device: 'webgpu', dtype, store: false });
  return models;
}

/** A call for each of ours. */
const each = (models, call) =>
  Object.fromEntries(Object.entries(models).map(([dtype, model]) => [dtype, () => call(model)]));

/** onnxruntime-web's session of a file; undefined without the file. */
async function session(file) {
  if (file && existsSync(file))
    return ort.InferenceSession.create(readFileSync(file), { executionProviders: ['webgpu'] });
  console.error(`benches/gpu.mjs: there is no file ${file}, so onnxruntime-web is not measured: see make bench-onnx`);
  return undefined;
}

// --- the cases: each a pair of calls that answer with vectors ---

async function sentences() {
  const words = wholeWords(existsSync(path.join(options.minilm, 'vocab.txt')) ? options.minilm : here);
  const [ours, theirs] = [await load(TextEmbedder, options.minilm), await session(options['minilm-onnx'])];
  const tensor = (rows, fill) => {
    const values = BigInt64Array.from(rows.flatMap((row) => row.map((id) => BigInt(fill ?? id))));
    return new ort.Tensor('int64', values, [rows.length, rows[0].length]);
  };
  const cases = [
    [1, 16],
    [1, 128],
    [8, 32],
    [32, 128],
  ].map(([batch, tokens]) => {
    const { ids, texts } = ofTokens(words, batch, tokens);
    return {
      name: `MiniLM, ${batch} of ${tokens} tokens`,
      rows: batch,
      ours: each(ours, async (model) => (await model.embed(texts)).data),
      theirs:
        theirs &&
        (async () => {
          const inputs = { input_ids: tensor(ids), attention_mask: tensor(ids, 1), token_type_ids: tensor(ids, 0) };
          const { last_hidden_state: states } = await theirs.run(inputs);
          return means(states.data, batch, tokens);
        }),
    };
  });
  return { adapter: Object.values(ours)[0].backend, cases };
}

/** The normalized means of `[batch, tokens, d]`. */
function means(states, batch, tokens) {
  const d = states.length / batch / tokens;
  const vectors = new Float32Array(batch * d);
  for (let i = 0; i < states.length; i++) vectors[Math.floor(i / d / tokens) * d + (i % d)] += states[i];
  return normalized(vectors, d);
}

function normalized(vectors, d) {
  for (let start = 0; start < vectors.length; start += d) {
    const row = vectors.subarray(start, start + d);
    const length = Math.hypot(...row);
    row.forEach((value, i) => {
      row[i] = value / length;
    });
  }
  return vectors;
}

async function pictures() {
  const [ours, theirs] = [await load(ImageTextEmbedder, options.clip), await session(options['clip-onnx'])];
  const [edge, batch, mean, deviation] = [
    224,
    8,
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
  ];
  const images = Array.from({ length: batch }, (_, image) => ({
    data: Uint8ClampedArray.from({ length: edge * edge * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : (Math.floor(i / 4 / edge) * (image + 3) + (i % (edge * 4)) * (2 + (i % 4))) % 256,
    ),
    width: edge,
    height: edge,
  }));
  return {
    cases: [
      {
        name: `ViT-B/32, ${batch} images`,
        rows: batch,
        ours: each(ours, async (model) => (await model.embedImages(images)).data),
        theirs:
          theirs &&
          (async () => {
            const area = edge * edge;
            const pixels = Float32Array.from({ length: batch * 3 * area }, (_, i) => {
              const channel = Math.floor(i / area) % 3;
              const value = images[Math.floor(i / area / 3)].data[(i % area) * 4 + channel];
              return (value / 255 - mean[channel]) / deviation[channel];
            });
            const inputs = { pixel_values: new ort.Tensor('float32', pixels, [batch, 3, edge, edge]) };
            const { image_embeds: vectors } = await theirs.run(inputs);
            return normalized(Float32Array.from(vectors.data), vectors.dims[1]);
          }),
      },
    ],
  };
}

// --- measuring ---

async function timed(call) {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

async function measure({ name, rows, ours, theirs }) {
  const expected = await (theirs ?? Object.values(ours)[0])();
  const cosines = {};
  for (const [dtype, call] of Object.entries(ours))
    cosines[dtype] = leastCosine(await call(), expected, expected.length / rows);
  const calls = { ...ours, ...(theirs && { theirs }) };
  for (let i = 0; i < Math.min(3, rounds); i++) for (const call of Object.values(calls)) await call();
  const times = Object.fromEntries(Object.keys(calls).map((key) => [key, []]));
  for (let i = 0; i < rounds; i++) for (const [key, call] of Object.entries(calls)) times[key].push(await timed(call));
  const figures = { name, ...(theirs && { 'onnxruntime-web, ms': median(times.theirs) }) };
  for (const dtype of Object.keys(ours)) {
    figures[dtype] = {
      ms: median(times[dtype]),
      ...(theirs && { 'theirs / ours': median(times.theirs.map((time, i) => time / times[dtype][i])) }),
      'least cosine': cosines[dtype],
    };
  }
  console.log(JSON.stringify(figures));
  return figures;
}

/** The least cosine of rows of `d` values, of unit length. */
function leastCosine(rows, expected, d) {
  let least = 1;
  for (let start = 0; start < rows.length; start += d) {
    const row = rows.subarray(start, start + d);
    least = Math.min(
      least,
      row.reduce((sum, value, i) => sum + value * expected[start + i], 0),
    );
  }
  return least;
}

const { adapter, cases } = await sentences();
console.log(JSON.stringify(adapter));
if (options.clip) cases.push(...(await pictures()).cases);
const measured = [];
for (const one of cases.filter(({ name }) => name.includes(options.case))) measured.push(await measure(one));
if (options.json) writeFileSync(options.json, `${JSON.stringify({ adapter, rounds, cases: measured }, null, 2)}\n`);
process.exit(0);
