import { TextEmbedder } from 'pilotlight';

/** Loads the model that the plugin has pulled into the public folder, and embeds two sentences. */
export async function embed(host) {
  const embedder = await TextEmbedder.load('test/bert-tiny-mean', { host, dtype: 'f32', store: false });
  const { data } = await embedder.embed(['A cat sits on the mat.', 'Ein Hund bellt.']);
  embedder.dispose();
  return { data: Array.from(data), isolated: crossOriginIsolated };
}
