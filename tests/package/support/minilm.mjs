// The real MiniLM, loaded from a host of its own.
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../../hub/hub.mjs';
import { MINILM as folder } from './models.mjs';

export const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';

/** Starts a host with MiniLM and loads it in q8. `close` ends both. */
export async function startMiniLM() {
  const hub = await startHub({ models: { [MINILM]: folder } });
  const embedder = await TextEmbedder.load(MINILM, { host: hub.url, store: false });
  const close = async () => {
    embedder.dispose();
    await hub.close();
  };
  return { hub, embedder, close };
}
