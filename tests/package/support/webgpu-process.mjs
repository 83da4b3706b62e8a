// A program of its own that loads a model on the GPU, in Node, Deno or Bun: prints what came of it as JSON, and ends by itself.
import { readFileSync } from 'node:fs';

const { folder, script, options } = JSON.parse(process.argv[2]);
const { diagnose, TextEmbedder } = await import(script);

const NAMES = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'model.safetensors'];
const files = () => Object.fromEntries(NAMES.map((name) => [name, new Uint8Array(readFileSync(`${folder}/${name}`))]));
const TEXTS = ['a dog in the park', 'the cat sat on the mat '.repeat(9)];

async function embed(options) {
  const embedder = await TextEmbedder.load('test/tiny', { files: files(), store: false, dtype: 'f32', ...options });
  const { data, dims } = await embedder.embed(TEXTS);
  const { backend } = embedder;
  embedder.dispose();
  return { data: [...data], dims, backend };
}

const seen = { asked: await embed(options), cpu: await embed({ device: 'cpu' }) };
const { webgpuAdapter, webgpuCore } = await diagnose();
console.log(JSON.stringify({ ...seen, webgpuAdapter, webgpuCore, globals: 'GPUDevice' in globalThis }));
