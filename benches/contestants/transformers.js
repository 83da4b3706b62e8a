// transformers.js, text in, mean-pooled and normalized embedding out.
import { env, pipeline } from '/peers/@huggingface/transformers/dist/transformers.min.js';

export async function load({ threads, dtype, model, host }) {
  env.remoteHost = host;
  env.allowLocalModels = false;
  env.backends.onnx.wasm.numThreads = threads;
  const runtime = `${location.origin}/peers/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify`;
  env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
  const extract = await pipeline('feature-extraction', model, { device: 'wasm', dtype });
  return {
    embed: ({ texts }) => extract(texts, { pooling: 'mean', normalize: true }),
  };
}
