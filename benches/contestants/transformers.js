// transformers.js, text in, mean-pooled and normalized embedding out. Without `threads`, transformers.js chooses their number.
import { env, pipeline } from '/peers/@huggingface/transformers/dist/transformers.min.js';

export async function load({ threads, dtype, model, host }) {
  env.remoteHost = host;
  env.allowLocalModels = false;
  const { wasm } = env.backends.onnx;
  wasm.numThreads = threads;
  // The build of the runtime that it has chosen for this engine, from here in place of a CDN.
  const here = (address) => `${location.origin}/peers/onnxruntime-web/dist/${address.split('/').at(-1)}`;
  wasm.wasmPaths = { mjs: here(wasm.wasmPaths.mjs), wasm: here(wasm.wasmPaths.wasm) };
  const build = wasm.wasmPaths.wasm.split('/').at(-1);
  const extract = await pipeline('feature-extraction', model, { device: 'wasm', dtype });
  return {
    embed: ({ texts }) => extract(texts, { pooling: 'mean', normalize: true }),
    backend: () => `${build}, ${wasm.numThreads} of ${navigator.hardwareConcurrency} threads`,
  };
}
