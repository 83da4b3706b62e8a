// A decoder by this package. The model is what the page's file input holds.
import { featuresOf } from '/features.js';
import { Decoder, diagnose, init } from '/package/web.js';

export async function load({ core, dtype, weights, layers }) {
  await init({ wasm: `/package/core/${core}.wasm` });
  const files = Object.fromEntries([...document.querySelector('input').files].map((file) => [file.name, file]));
  const decoder = await Decoder.load('bench/decoder', {
    files,
    device: 'cpu',
    dtype,
    weights,
    layers,
    store: false,
    worker: false,
  });
  const tokensOf = async (text) => (await decoder.hiddenStates(text, { layer: 0 })).tokens[0];
  return {
    /** The 13 statistics of the detector. */
    likelihoods: async ({ text, tokens }) => {
      const [told] = await decoder.likelihoods(text, { maxTokens: tokens });
      return featuresOf(told);
    },
    hidden: ({ text, layer }) => decoder.hiddenStates(text, { layer, pool: 'mean' }),
    /** Returns the beginning of a text that has exactly `tokens` tokens. */
    cut: async ({ text, tokens }) => {
      let [fits, exceeds] = [0, text.length];
      while (exceeds - fits > 1) {
        const middle = (fits + exceeds) >> 1;
        if ((await tokensOf(text.slice(0, middle))) <= tokens) fits = middle;
        else exceeds = middle;
      }
      const beginning = text.slice(0, fits);
      const found = await tokensOf(beginning);
      if (found !== tokens)
        throw new Error(`No beginning of the text with ${tokens} tokens was found, but one with ${found}`);
      return beginning;
    },
    linearMemory: async () => (await diagnose()).cpuCore.memoryBytes,
  };
}
