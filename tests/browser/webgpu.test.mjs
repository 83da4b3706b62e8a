import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skipWithout } from '../data.mjs';
import { VIT_B32 } from '../package/support/clip.mjs';
import { tinyFolder } from '../package/support/models.mjs';
import { PAIRS, readPairs, spearmanOf } from '../sts.mjs';
import {
  beforeWorkers,
  cosine,
  demo,
  embedInPage,
  FIGURES,
  launch,
  MINILM,
  maxAbsError,
  mean,
  minilm,
  minilmGolden,
  startBench,
  startSite,
} from './harness.mjs';

// Chromium's own software adapter stands in for a GPU: it computes the same shaders, in seconds instead of milliseconds.
const TEXTS = ['A man is doing a stunt on his bicycle.', 'people walk home', 'The soup needs a pinch more salt.'];
/** The layers of MiniLM. */
const LAYERS = 6;
let bench;
before(async () => {
  bench = await startBench();
});
after(() => bench?.close());

async function embed(browser, options, texts = TEXTS) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(bench.url);
    return await embedIn(page, options, texts);
  } finally {
    await context.close();
  }
}

async function embedIn(page, options, texts) {
  const answer = await embedInPage(page, { options, texts });
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  return answer;
}

test('WebGPU agrees with the CPU in f32, and auto takes no software adapter', { timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true });
  try {
    const cpu = await embed(browser, { device: 'cpu', dtype: 'f32' });
    const gpu = await embed(browser, { device: 'webgpu', dtype: 'f32' });
    assert.deepEqual([gpu.backend.device, gpu.backend.dtype], ['webgpu', 'f32'], gpu.backend.reason);
    assert.equal(gpu.backend.adapter.software, true);
    const error = maxAbsError(gpu.vectors, cpu.vectors);
    t.diagnostic(`max abs error ${error.toExponential(1)}`);
    assert.ok(error <= 1e-3, `max abs error ${error}`);
    assert.deepEqual(gpu.tokens, cpu.tokens);

    const auto = await embed(browser, { device: 'auto' });
    assert.equal(auto.backend.device, 'cpu');
    assert.match(auto.backend.reason, /software/);
  } finally {
    await browser.close();
  }
});

test('weights in 16, 8 and 4 bits on WebGPU are at least as near to PyTorch as on the CPU, and q8 is the default', {
  timeout: 900_000,
}, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    const { cases: all } = await minilmGolden();
    const cases = FIGURES ? all : all.filter((_, i) => i % 12 === 0);
    const texts = cases.map(({ text }) => text);
    const near = ({ vectors }) => {
      const cosines = vectors.map((vector, i) => cosine(vector, cases[i].embedding));
      return { mean: mean(cosines), least: Math.min(...cosines) };
    };
    // One page without workers has one GPU device, for which each shader is compiled once.
    const page = await browser.newPage();
    await page.goto(bench.url);
    const embed = (options) => embedIn(page, { ...options, worker: false }, texts);
    for (const [dtype, options] of [
      ['f16', { dtype: 'f16' }],
      ['q8', {}],
      ['q4', { dtype: 'q4' }],
    ]) {
      const gpu = await embed({ device: 'webgpu', ...options });
      assert.deepEqual([gpu.backend.device, gpu.backend.dtype], ['webgpu', dtype], gpu.backend.reason);
      const cpu = await embed({ device: 'cpu', dtype });
      assert.equal(cpu.backend.simd, 'relaxed-simd');
      const [of, ofCpu] = [near(gpu), near(cpu)];
      const numbers = [of.mean, of.least, ofCpu.mean, ofCpu.least].map((number) => number.toFixed(5));
      t.diagnostic(
        `${dtype}, cosine to PyTorch, mean and least: WebGPU ${numbers[0]} ${numbers[1]}, CPU ${numbers.slice(2).join(' ')}`,
      );
      if (dtype === 'f16') {
        // Both compute in f32, so that only the order of sums differs.
        assert.ok(of.least >= 0.9999 && ofCpu.least >= 0.9999, `f16: ${numbers}`);
        assert.ok(maxAbsError(gpu.vectors, cpu.vectors) <= 1e-4);
        continue;
      }
      // The CPU quantizes activations too. In q4 that is a small part of the error, which may fall either way for a single text.
      const slack = dtype === 'q8' ? 0 : 5e-4;
      assert.ok(of.mean >= ofCpu.mean - slack && of.least >= ofCpu.least - 10 * slack, `${dtype}: ${numbers}`);
    }
  } finally {
    await browser.close();
  }
});

test('a forward pass of MiniLM is one submission of few dispatches, and only the vectors are read back', {
  timeout: 900_000,
}, async (t) => {
  const browser = await launch({ softwareGpu: true });
  try {
    const page = await browser.newPage();
    await page.goto(bench.url);
    const { loaded, calls } = await page.evaluate(async () => {
      // What the browser's own WebGPU is asked for, whoever asks.
      const asked = { dispatches: 0, submits: 0, submitsOfWork: 0, buffers: 0, bytes: 0, mostBytes: 0, reads: 0 };
      let submitted = 0;
      const wrap = ({ prototype }, name, note) => {
        const method = prototype[name];
        prototype[name] = function (...given) {
          const result = method.apply(this, given);
          note.call(this, given, result);
          return result;
        };
      };
      wrap(GPUComputePassEncoder, 'dispatchWorkgroups', () => asked.dispatches++);
      wrap(GPUQueue, 'submit', () => {
        asked.submits++;
        if (asked.dispatches > submitted) asked.submitsOfWork++;
        submitted = asked.dispatches;
      });
      wrap(GPUDevice, 'createBuffer', ([{ size }]) => {
        asked.buffers++;
        asked.bytes += size;
        asked.mostBytes = Math.max(asked.mostBytes, asked.bytes);
      });
      wrap(GPUBuffer, 'mapAsync', () => asked.reads++);
      wrap(GPUBuffer, 'destroy', function () {
        asked.bytes -= this.size;
      });
      const { TextEmbedder, diagnose, models } = await import('/package/web.js');
      const model = 'sentence-transformers/all-MiniLM-L6-v2';
      const options = { host: `${location.origin}/hub`, store: false, device: 'webgpu', worker: false };
      const { gpuBytes } = await models.plan(model, options);
      let readsBefore;
      const onProgress = ({ status }) => {
        if (status === 'download') readsBefore ??= asked.reads;
      };
      const embedder = await TextEmbedder.load(model, { ...options, onProgress });
      const { gpu } = (await diagnose()).webgpuCore;
      const loaded = { ...asked, device: embedder.backend.device, gpuBytes, gpu, readsBefore };
      const text = 'The pilot light is warm.';
      const calls = [];
      for (const texts of [[text], [text], [text], Array(5).fill(text), Array(5).fill(text), Array(5).fill(text)]) {
        const [before, { gpu }] = [{ ...asked }, (await diagnose()).webgpuCore];
        const { data } = await embedder.embed(texts);
        const after = (await diagnose()).webgpuCore.gpu;
        const difference = (to, from) =>
          Object.fromEntries(Object.keys(to).map((name) => [name, to[name] - from[name]]));
        calls.push({
          texts: texts.length,
          asked: difference(asked, before),
          counted: difference(after, gpu),
          values: data.length,
        });
      }
      embedder.dispose();
      return { loaded, calls };
    });
    assert.equal(loaded.device, 'webgpu');
    t.diagnostic(`after loading: ${JSON.stringify(loaded)}`);
    for (const { texts, asked, counted } of calls)
      t.diagnostic(`${texts} texts: ${JSON.stringify({ asked, counted })}`);
    for (const { asked, counted, values } of calls) {
      assert.deepEqual([counted.reads, counted.bytesRead], [1, values * 4]);
      assert.ok(counted.dispatches > LAYERS * 5 && counted.dispatches <= asked.dispatches);
    }
    // The first call has what is left of loading, and the first two of a size make buffers.
    for (const { asked } of [calls[2], calls[5]]) {
      assert.ok(asked.dispatches <= LAYERS * 6 + 8, `${asked.dispatches} dispatches`);
      // The second submission copies the vectors into a buffer that can be read: burn submits the work before it asks for that.
      assert.deepEqual([asked.submitsOfWork, asked.submits, asked.buffers], [1, 2, 0]);
    }
    // 24 MB of it are weights; the rest are pages of the self-test, which burn keeps for later tensors.
    assert.ok(loaded.mostBytes <= 30e6, `${loaded.mostBytes} bytes of GPU memory`);
    assert.ok(
      loaded.gpuBytes > loaded.mostBytes && loaded.gpuBytes < 1.5 * loaded.mostBytes,
      `${loaded.gpuBytes} planned`,
    );
    // The self-test, which reads results, went on while the weights arrived.
    assert.ok(loaded.readsBefore < loaded.reads, `${loaded.readsBefore} of ${loaded.reads} reads`);
    const { openMs, selfTestMs, sendMs, bytesSent } = loaded.gpu;
    assert.ok(openMs > 0 && selfTestMs > openMs && sendMs > 0 && bytesSent > 22e6, JSON.stringify(loaded.gpu));
  } finally {
    await browser.close();
  }
});

/** Lets all kernels for weights in int8 compute wrong sums, in the page or in its workers. */
function breakQ8() {
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function ({ code, ...others }) {
    const broken = code.includes('smooth_of') ? code.replace('rows.y * w_high', 'rows.x * w_high') : code;
    return createShaderModule.call(this, { ...others, code: broken });
  };
}

test('a GPU with wrong results in one format computes in the others, and models in that one are loaded on the CPU', {
  timeout: 900_000,
}, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    const page = await browser.newPage();
    await beforeWorkers(page, breakQ8);
    await page.goto(bench.url);
    await page.evaluate(`(${breakQ8})()`);
    const seen = await page.evaluate(async (text) => {
      let devices = 0;
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = function (...given) {
        devices++;
        return requestDevice.apply(this, given);
      };
      const { TextEmbedder } = await import('/package/web.js');
      const model = 'sentence-transformers/all-MiniLM-L6-v2';
      const here = { host: `${location.origin}/hub`, store: 'memory', worker: false };
      const vector = async (embedder) => [...(await embedder.embed(text)).data];
      const cpu = await TextEmbedder.load(model, { ...here, device: 'cpu' });
      const expected = await vector(cpu);
      const isExpected = async (embedder) => (await vector(embedder)).every((value, i) => value === expected[i]);

      const f16 = await TextEmbedder.load(model, {
        ...here,
        device: 'webgpu',
        dtype: 'f16',
        onProgress({ status }) {
          if (status === 'ready') throw new Error('from the page');
        },
      });
      const before = await vector(f16);
      const statuses = [];
      const onProgress = ({ status }) => statuses.push(status);
      const q8 = await TextEmbedder.load(model, { ...here, device: 'webgpu', onProgress });
      const after = await vector(f16);

      // Bytes that can be read once, which a worker gets.
      const bytes = async (name) => (await fetch(`${here.host}/${model}/resolve/main/${name}`)).body;
      const names = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'model.safetensors'];
      const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await bytes(name)])));
      const once = await TextEmbedder.load(model, { files, store: false, device: 'webgpu' });
      return {
        devices,
        statuses,
        areSame: [await isExpected(q8), await isExpected(once)],
        stays: before.every((value, i) => value === after[i]),
        backends: [f16, q8, once].map(({ backend }) => backend),
      };
    }, TEXTS[0]);
    const [f16, q8, once] = seen.backends;
    assert.deepEqual([f16.device, f16.restarts, seen.stays], ['webgpu', 0, true], f16.reason);
    t.diagnostic(q8.reason);
    for (const { device, restarts, reason } of [q8, once]) {
      assert.deepEqual([device, restarts], ['cpu', 1], reason);
      assert.match(
        reason,
        /^The CPU was taken because WebGPU could not be used: the results of the GPU differ from the CPU's: a linear layer of \S+ in q8 by /,
      );
    }
    assert.deepEqual([q8.worker, once.worker, seen.devices], [false, true, 1]);
    assert.deepEqual(seen.areSame, [true, true]);
    // The load on the GPU was never ready.
    assert.deepEqual([seen.statuses.filter((status) => status === 'ready').length, seen.statuses.at(-1)], [1, 'ready']);
  } finally {
    await browser.close();
  }
});

/** Lets the adapter, in the page or in its workers, not call itself a software one. */
function hideSoftware() {
  const info = { vendor: 'acme', architecture: 'one', description: '' };
  Object.defineProperty(GPUAdapter.prototype, 'info', { get: () => info });
}

/** The same, and stops the clock at the first submission, so that a GPU, which is timed after the CPU, takes no time. `startClock` lets it go on. */
function hideSoftwareAndStopClock() {
  const info = { vendor: 'acme', architecture: 'one', description: '' };
  Object.defineProperty(GPUAdapter.prototype, 'info', { get: () => info });
  const now = performance.now.bind(performance);
  const { submit } = GPUQueue.prototype;
  let [stopped, calls] = [0, 0];
  GPUQueue.prototype.submit = function (...given) {
    stopped ||= now() + calls;
    return submit.apply(this, given);
  };
  performance.now = () => stopped || now() + ++calls;
  globalThis.startClock = () => {
    stopped = 0;
  };
}

test('auto takes WebGPU only where layers of the very model are faster on it', { timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  const tiny = await startBench({
    [MINILM]: minilm,
    'test/embedder': tinyFolder('bert-tiny-mean'),
    'test/classifier': tinyFolder('bert-tiny-classifier'),
    'test/decoder': tinyFolder('qwen2-tiny'),
    'test/clip': tinyFolder('clip-tiny'),
    'test/static': tinyFolder('static-tiny'),
  });
  try {
    const page = await browser.newPage();
    await beforeWorkers(page, hideSoftware);
    await page.goto(tiny.url);
    await page.evaluate(`(${hideSoftware})()`);
    const seen = await page.evaluate(async () => {
      const { Decoder, ImageTextEmbedder, SequenceClassifier, TextEmbedder, models } = await import('/package/web.js');
      const options = { host: `${location.origin}/hub`, store: 'memory' };
      const minilm = 'sentence-transformers/all-MiniLM-L6-v2';
      const { device, reason } = await models.plan(minilm, options);
      const backends = {};
      const note = (name, { backend }) => {
        backends[name] = backend;
      };
      note('MiniLM', await TextEmbedder.load(minilm, options));
      const here = { ...options, worker: false };
      note('embedder', await TextEmbedder.load('test/embedder', here));
      note('classifier', await SequenceClassifier.load('test/classifier', here));
      note('decoder', await Decoder.load('test/decoder', here));
      note('clip', await ImageTextEmbedder.load('test/clip', here));
      note('texts', await ImageTextEmbedder.load('test/clip', { ...here, towers: ['text'] }));
      note('static', await TextEmbedder.load('test/static', here));

      const names = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'model.safetensors'];
      const streams = names.map(async (name) => {
        const response = await fetch(`${options.host}/test/embedder/resolve/main/${name}`);
        return [name, response.body];
      });
      const files = Object.fromEntries(await Promise.all(streams));
      note('streams', await TextEmbedder.load('test/embedder', { files, store: false }));
      return { plan: { device, reason }, backends };
    });
    const { plan, backends } = seen;
    t.diagnostic(JSON.stringify({ plan, ...backends }, null, 1));
    assert.deepEqual(plan, {
      device: 'webgpu',
      reason: 'WebGPU was found, and a load takes it if the model is faster on it than on the CPU.',
    });
    const took = /(.+) took ([\d.]+) ms on it and ([\d.]+) ms on the CPU for (.+?)\./;
    const slower = 'The CPU was taken because the GPU (acme one) is no faster: ';
    // Of MiniLM as many as fit into a tenth of a second on the CPU.
    for (const [name, layers, input] of [
      ['MiniLM', 6, '128 tokens'],
      ['embedder', 2, '32 tokens'],
      ['classifier', 2, '128 tokens'],
      ['decoder', 2, '128 tokens'],
      ['clip', 2, 'an image'],
      ['texts', 2, '16 tokens'],
    ]) {
      const { device, restarts, reason } = backends[name];
      assert.deepEqual([device, restarts], ['cpu', 0], `${name}: ${reason}`);
      assert.ok(reason.startsWith(slower), reason);
      const [, ...found] = took.exec(reason.slice(slower.length)) ?? [];
      const [, times = 1] = /^(?:(\d) times )?2 layers of the model in q8$/.exec(found[0]) ?? [0, 0];
      assert.ok(times >= 1 && 2 * times <= layers && found[3] === input, `${name}: ${reason}`);
      assert.ok(Number(found[1]) > 0 && Number(found[1]) >= Number(found[2]), reason);
    }
    assert.equal(backends.MiniLM.worker, true);
    assert.match(
      backends.static.reason,
      /^The CPU was taken because the GPU \(acme one\) is no faster: the model has no layers\./,
    );
    assert.match(backends.streams.reason, /^The CPU was taken because the model's files can be read once only/);
    assert.deepEqual([backends.static.device, backends.streams.device], ['cpu', 'cpu']);

    const other = await browser.newPage();
    await beforeWorkers(other, hideSoftwareAndStopClock);
    await other.goto(tiny.url);
    await other.evaluate(`(${hideSoftwareAndStopClock})(); (${breakQ8})()`);
    const fast = await other.evaluate(async () => {
      const { TextEmbedder } = await import('/package/web.js');
      const options = { host: `${location.origin}/hub`, store: false, dtype: 'f32' };
      const seen = [];
      for (const device of ['cpu', 'auto']) {
        for (const worker of [false, true]) {
          const embedder = await TextEmbedder.load('test/embedder', { ...options, device, worker });
          const { data } = await embedder.embed('The pilot light is warm.');
          seen.push({ backend: embedder.backend, vector: [...data] });
        }
      }
      globalThis.startClock();
      const { backend } = await TextEmbedder.load('test/embedder', { ...options, dtype: 'q8', worker: false });
      return [...seen, { backend }];
    });
    for (const [i, worker] of [false, true].entries()) {
      const { backend, vector } = fast[2 + i];
      t.diagnostic(backend.reason);
      assert.deepEqual([backend.device, backend.worker, backend.restarts], ['webgpu', worker, 0], backend.reason);
      assert.match(
        backend.reason,
        /^WebGPU was taken because 2 layers of the model in f32 took 0\.0 ms on it and .+ 32 tokens\./,
      );
      assert.ok(maxAbsError([vector], [fast[i].vector]) <= 1e-4);
    }
    // A GPU that is faster, and then does not pass its self-test.
    const { device, restarts, reason } = fast[4].backend;
    assert.deepEqual([device, restarts], ['cpu', 1], reason);
    assert.match(reason, /^The CPU was taken because WebGPU could not be used: the results of the GPU differ/);
  } finally {
    await tiny.close();
    await browser.close();
  }
});

test("ViT-B/32's image tower takes at most 190 MB of the GPU's memory in f16, 100 in q8 and 60 in q4, as planned", {
  skip: !FIGURES && 'only in `make figures`',
  timeout: 900_000,
}, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  const clip = await startBench({ 'test/clip': VIT_B32 });
  try {
    for (const [dtype, most] of [
      ['f16', 190e6],
      ['q8', 100e6],
      ['q4', 60e6],
    ]) {
      const page = await browser.newPage();
      await page.goto(clip.url);
      const { device, gpuBytes, bytes } = await page.evaluate(async (dtype) => {
        let bytes = 0;
        const { createBuffer } = GPUDevice.prototype;
        GPUDevice.prototype.createBuffer = function (given) {
          bytes += given.size;
          return createBuffer.call(this, given);
        };
        const { ImageTextEmbedder, models } = await import('/package/web.js');
        const options = { host: `${location.origin}/hub`, store: false, worker: false, device: 'webgpu' };
        const asked = { ...options, dtype, towers: ['image'] };
        const { gpuBytes } = await models.plan('test/clip', asked);
        const embedder = await ImageTextEmbedder.load('test/clip', asked);
        await embedder.embedImages([new ImageData(224, 224)]);
        return { device: embedder.backend.device, gpuBytes, bytes };
      }, dtype);
      await page.close();
      assert.equal(device, 'webgpu');
      t.diagnostic(
        `${dtype}: ${(bytes / 1e6).toFixed(1)} MB with one image, planned ${(gpuBytes / 1e6).toFixed(1)} MB`,
      );
      assert.ok(bytes <= most && bytes <= gpuBytes && gpuBytes < 1.2 * bytes, `${dtype}: ${bytes} of ${gpuBytes}`);
    }
  } finally {
    await browser.close();
    await clip.close();
  }
});

const skip = FIGURES ? skipWithout(PAIRS) : 'only in `make figures`';
test('q8 on WebGPU ranks the STS benchmark as the CPU does, to 0.003', { skip, timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    const all = await readPairs();
    // 200 pairs of all scores alike.
    const every = Math.floor(all.length / 200);
    const pairs = all.filter((_, i) => i % every === 0).slice(0, 200);
    const texts = [...new Set(pairs.flatMap((pair) => pair.texts))];
    const rank = async (device) => {
      const { vectors, backend } = await embed(browser, { device, dtype: 'q8' }, texts);
      assert.equal(backend.device, device, backend.reason);
      return spearmanOf(pairs, new Map(texts.map((text, i) => [text, vectors[i]])));
    };
    const [gpu, cpu] = [await rank('webgpu'), await rank('cpu')];
    t.diagnostic(`Spearman of ${pairs.length} pairs: WebGPU ${gpu.toFixed(4)}, CPU ${cpu.toFixed(4)}`);
    assert.ok(Math.abs(gpu - cpu) <= 0.003, `${gpu} and ${cpu}`);
  } finally {
    await browser.close();
  }
});

test('digits drawn on WebGPU are those of the CPU, to two grey levels', { timeout: 900_000 }, async (t) => {
  const browser = await launch({ softwareGpu: true, gpuFlags: ['disable_workgroup_init'] });
  try {
    const page = await browser.newPage();
    await page.goto(bench.url);
    const drawn = await page.evaluate(async () => {
      const { DigitGenerator } = await import('/package/web.js');
      const { DigitJudge } = await import('/package/judge.js');
      const drawn = {};
      for (const device of ['cpu', 'webgpu']) {
        const generator = await DigitGenerator.load({ device });
        const judge = await DigitJudge.load(generator);
        const { data } = await generator.generate({ text: '2026', seed: 3 });
        const readings = await judge.read(data);
        drawn[device] = { device: generator.backend.device, data: [...data], read: readings.map(({ digit }) => digit) };
      }
      return drawn;
    });
    assert.equal(drawn.webgpu.device, 'webgpu');
    const difference = Math.max(...drawn.cpu.data.map((grey, i) => Math.abs(grey - drawn.webgpu.data[i])));
    t.diagnostic(`largest difference: ${difference} of 255`);
    // Seven steps build on each other's last bits.
    assert.ok(difference <= 2, `${difference} grey levels`);
    assert.deepEqual(drawn.webgpu.read, [2, 0, 2, 6]);
    assert.deepEqual(drawn.cpu.read, [2, 0, 2, 6]);
  } finally {
    await browser.close();
  }
});

test('without WebGPU the CPU is taken, and the reason is said, in the report and on the page', async () => {
  const browser = await launch();
  const site = await startSite();
  try {
    const { backend, vectors } = await embed(browser, { device: 'webgpu' });
    assert.equal(backend.device, 'cpu');
    assert.match(backend.reason, /WebGPU|adapter/);
    assert.equal(vectors.length, TEXTS.length);

    const page = await demo.open(await browser.newContext(), site.url);
    await demo.load(page, { device: 'WebGPU' });
    await demo.ready(page);
    await page.getByText('Runs on the CPU').waitFor();
    assert.equal(await page.locator('.ready-reason.notice').innerText(), backend.reason);
  } finally {
    await browser.close();
    await site.close();
  }
});

test('a CPU user never downloads the GPU code', async () => {
  const browser = await launch();
  const site = await startSite();
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    const urls = [];
    page.on('request', (request) => urls.push(request.url()));
    await page.goto(site.url);
    await demo.load(page);
    await demo.ready(page);
    // The page and its worker have one core, which the second of them may take from the browser's cache.
    assert.equal(new Set(urls.filter((url) => /\.wasm/.test(url))).size, 1, urls.join('\n'));
    assert.equal(urls.filter((url) => /webgpu/.test(url)).length, 0, urls.join('\n'));
  } finally {
    await browser.close();
    await site.close();
  }
});
