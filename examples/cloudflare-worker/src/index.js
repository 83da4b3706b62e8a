// GET /?text=one&text=two, or POST a JSON list of texts → { dims, tokens, truncated, embeddings }
import { PilotlightError, TextEmbedder } from 'pilotlight';

/** One model for all requests of this isolate; a failed load is forgotten, so the next request tries again. */
let loading;

function embedder({ MODEL, MODEL_HOST }, context) {
  loading ??= TextEmbedder.load(MODEL, { host: MODEL_HOST, device: 'cpu', store: false }).catch((error) => {
    loading = undefined;
    throw error;
  });
  // A client that goes away must not stop the load that others wait for.
  context.waitUntil(loading.catch(() => {}));
  return loading;
}

async function textsOf(request) {
  if (request.method === 'GET') return new URL(request.url).searchParams.getAll('text');
  if (request.method !== 'POST') throw new PilotlightError('INVALID_INPUT', 'send GET or POST');
  return request.json().catch(() => {
    throw new PilotlightError('INVALID_INPUT', 'the body is not JSON');
  });
}

export default {
  async fetch(request, env, context) {
    try {
      const texts = await textsOf(request);
      const { data, dims, tokens, truncated } = await (await embedder(env, context)).embed(texts);
      const [count, dimensions] = dims;
      const embeddings = Array.from({ length: count }, (_, i) =>
        Array.from(data.subarray(i * dimensions, (i + 1) * dimensions)),
      );
      return Response.json({ dims, tokens, truncated, embeddings });
    } catch (error) {
      if (!(error instanceof PilotlightError)) throw error;
      // A trapped instance refuses every later call: the next request loads anew.
      if (error.code === 'INTERNAL') loading = undefined;
      return Response.json(
        { code: error.code, error: error.message },
        { status: error.code === 'INVALID_INPUT' ? 400 : 503 },
      );
    }
  },
};
