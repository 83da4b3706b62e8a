// CLIP by this package: the image is given as pixels of the model's size, so that it is resized and normalized but not decoded.
import { diagnose, ImageTextEmbedder, init } from '/package/web.js';

export async function load({ core, dtype, host, towers, worker = false, workers, threads }) {
  if (core) await init({ wasm: `/package/core/${core}.wasm` });
  const clip = await ImageTextEmbedder.load('bench/clip', {
    device: 'cpu',
    dtype,
    host,
    towers,
    store: false,
    worker,
    workers,
    threads,
  });
  if (threads && clip.backend.threads !== threads) throw new Error(clip.backend.reason);
  return {
    image: ({ pixels, edge }) => clip.embedImages(new ImageData(Uint8ClampedArray.from(pixels), edge, edge)),
    images: ({ files }) => clip.embedImages(files.map((file) => `/photos/${file}`)),
    text: ({ text }) => clip.embedTexts(text),
    linearMemory: async () => (await diagnose()).cpuCore.memoryBytes,
  };
}
