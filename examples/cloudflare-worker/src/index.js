// GET /?text=one&text=two, or POST a JSON list of texts → { dims, tokens, truncated, embeddings }; /intent → [{ label, probability, … }]
import { PilotlightError, TextClassifier, TextEmbedder } from 'pilotlight';
import intents from './intents.json'; // from `node learn.mjs`, with the same model

let loading; // the models of this isolate, for all of its requests
let startedAt; // the time at which a load began that is not done; one that has run for a minute has ended with its request

async function load({ MODEL, MODEL_HOST }) {
  startedAt = Date.now();
  const embedder = await TextEmbedder.load(MODEL, { host: MODEL_HOST, store: false });
  const classifier = await TextClassifier.fromJSON(embedder, intents);
  startedAt = undefined;
  return { embedder, classifier };
}

async function answer(request, env) {
  try {
    const { pathname, searchParams } = new URL(request.url);
    const texts = request.method === 'GET' ? searchParams.getAll('text') : await request.json().catch(() => {});
    loading = Date.now() - startedAt > 60_000 ? load(env) : (loading ?? load(env));
    const { embedder, classifier } = await loading;
    if (pathname === '/intent') return Response.json(await classifier.classify(texts));
    const { data, dims, tokens, truncated } = await embedder.embed(texts);
    const row = (_, i) => Array.from(data.subarray(i * dims[1], (i + 1) * dims[1]));
    return Response.json({ dims, tokens, truncated, embeddings: Array.from({ length: dims[0] }, row) });
  } catch (error) {
    const isBadInput = error.code === 'INVALID_INPUT';
    if (!isBadInput) loading = undefined; // the next request begins anew: a trapped instance refuses every later call
    if (!(error instanceof PilotlightError)) throw error;
    return Response.json({ code: error.code, error: error.message }, { status: isBadInput ? 400 : 503 });
  }
}

export default {
  fetch(request, env, context) {
    const answered = answer(request, env);
    context.waitUntil(answered); // Otherwise a load would end with the client that began it, and whoever comes next would wait for it.
    return answered;
  },
};
