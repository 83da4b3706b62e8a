// llama.cpp in WebAssembly. The model is what the page's file input holds.
import { Wllama } from '/peers/@wllama/wllama/esm/index.js';

export async function load({ threads, ...settings }) {
  const wllama = new Wllama(
    { default: '/peers/@wllama/wllama/esm/wasm/wllama.wasm' },
    { suppressNativeLog: true, logger: { ...console, debug() {}, log() {} } },
  );
  await wllama.loadModel([...document.querySelector('input').files], {
    n_gpu_layers: 0,
    n_threads: threads,
    n_parallel: 1,
    ...settings,
  });
  if (wllama.getNumThreads() !== threads && (threads > 1 || wllama.isMultithread()))
    throw new Error(`wllama runs ${wllama.getNumThreads()} threads, expected ${threads}`);
  let timings;
  return {
    /** Reads a text and samples one token, which is the least that it can be asked for. */
    prefill: async ({ text, tokens }) => {
      ({ timings } = await wllama.createCompletion({
        prompt: text,
        max_tokens: 1,
        temperature: 0,
        cache_prompt: false,
      }));
      if (timings.prompt_n !== tokens)
        throw new Error(`wllama read ${timings.prompt_n} tokens, expected ${tokens}; it kept ${timings.cache_n}`);
    },
    /** The package's own measurements of its last prefill. */
    timings: () => timings,
  };
}
