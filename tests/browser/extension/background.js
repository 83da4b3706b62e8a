// A service worker: it starts no workers, and imports no script later.
import { TextEmbedder } from './package/web.js';

globalThis.embed = async ({ model, host, texts }) => {
  const embedder = await TextEmbedder.load(model, { host, dtype: 'f32', store: false });
  const { data, dims } = await embedder.embed(texts);
  const { backend } = embedder;
  embedder.dispose();
  return { vectors: texts.map((_, row) => Array.from(data.subarray(row * dims[1], (row + 1) * dims[1]))), backend };
};
