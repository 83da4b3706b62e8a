// A static embedding by this package: lists of texts in, vectors out.
import { init, TextEmbedder } from '/package/web.js';

export async function load({ core, dtype, host }) {
  await init({ wasm: `/package/core/${core}.wasm` });
  const embedder = await TextEmbedder.load('bench/static', { dtype, host, store: false, worker: false });
  return {
    embed: (texts) => embedder.embed(texts),
    tokens: async (texts) => (await embedder.embed(texts)).tokens,
  };
}
