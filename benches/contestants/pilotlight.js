// The published package. It has no call that takes ids, so every case goes from text to embedding, and its times include tokenizing and pooling.
import { diagnose, init, TextEmbedder } from '/package/web.js';

// Computes on the page's own thread, as the peers do, unless `worker` says otherwise.
export async function load({ core, dtype, model, host, store, worker = false, workers, threads }) {
  if (core) await init({ wasm: `/package/core/${core}.wasm` });
  const embedder = await TextEmbedder.load(model, { device: 'cpu', dtype, host, store, worker, workers, threads });
  if (threads && embedder.backend.threads !== threads) throw new Error(embedder.backend.reason);
  return {
    hidden: ({ texts }) => embedder.embed(texts),
    embed: ({ texts }) => embedder.embed(texts),
    first: async ({ texts }) => Array.from((await embedder.embed(texts)).data),
    backend: () => {
      const { device, dtype, simd, worker } = embedder.backend;
      return `${device}, ${dtype}, ${simd}, ${worker ? 'in a worker' : 'on the page’s thread'}`;
    },
    linearMemory: async () => (await diagnose()).cpuCore.memoryBytes,
  };
}
