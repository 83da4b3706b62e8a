// The table of tests/hub/matrix.mjs in Node, with a store of the host program.
import { describe, test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { cases, check, MODEL, TEXTS } from '../hub/matrix.mjs';
import { mapStore } from './support/map-store.mjs';

/** A program that has just started, with this store. */
function place() {
  const store = mapStore();
  return {
    keys: async () => [...store.rows.keys()],
    async visit(options) {
      let verified;
      try {
        const embedder = await TextEmbedder.load(MODEL, {
          ...options,
          store,
          onProgress: (event) => (verified = event.verified),
        });
        const { data, dims } = await embedder.embed(TEXTS);
        embedder.dispose();
        return {
          verified,
          vectors: TEXTS.map((_, row) => Array.from(data.subarray(row * dims[1], (row + 1) * dims[1]))),
        };
      } catch ({ name, code, message }) {
        return { error: { name, code, message } };
      }
    },
  };
}

describe('in Node', { concurrency: 8 }, () => {
  for (const one of cases) test(one.what, () => check(one, place()));
});
