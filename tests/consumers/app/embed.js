import { init, TextEmbedder } from 'pilotlight';

/** Two texts of tests/goldens/bert-tiny-mean. */
export const TEXTS = ['The pilot light is warm.', 'SHOUTING PEOPLE WALK TO THE SEA'];

/** Embeds them, with a core from the address `wasm` where there is one, and returns the values and where they were computed. */
export async function embed(host, wasm) {
  if (wasm) await init({ wasm });
  const embedder = await TextEmbedder.load('test/bert-tiny-mean', { host, dtype: 'f32', store: false });
  const { data } = await embedder.embed(TEXTS);
  const { backend } = embedder;
  embedder.dispose();
  return { data: Array.from(data), backend };
}
