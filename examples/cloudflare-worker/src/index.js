// GET /?text=one&text=two, or POST a JSON list of texts → { dims, tokens, truncated, embeddings }
// GET /intent?text=one, or POST a JSON list of texts there → [{ label, probability, nearest, … }], with label null for none
import { PilotlightError, TextClassifier, TextEmbedder } from 'pilotlight';
import intents from './intents.json'; // from `node learn.mjs`

/** One model for all requests of this isolate; a failed load is forgotten, so the next request tries again. */
let loading;
/** The time at which the running load was started; undefined where none is running. */
let startedAt;

/** A load that has run for more milliseconds than this has ended with its request: see `embedder`. */
const LOAD_TIMEOUT = 60_000;

function embedder({ MODEL, MODEL_HOST }, context) {
  if (startedAt !== undefined && Date.now() - startedAt > LOAD_TIMEOUT) loading = undefined;
  loading ??= load(MODEL, { host: MODEL_HOST, device: 'cpu', store: false });
  // A load belongs to the request that started it, and would end with it when the client leaves. This keeps it alive for 30 seconds more.
  context.waitUntil(loading.catch(() => {}));
  return loading;
}

async function load(model, options) {
  const now = Date.now();
  startedAt = now;
  try {
    return await TextEmbedder.load(model, options);
  } catch (error) {
    if (startedAt === now) loading = undefined;
    throw error;
  } finally {
    if (startedAt === now) startedAt = undefined;
  }
}

/** The classifier of intents, on this embedder; another embedder, after a new load, gets another. */
const classifiers = new WeakMap();

function classifierOf(embedder, context) {
  if (!classifiers.has(embedder)) {
    const opening = TextClassifier.fromJSON(embedder, intents);
    classifiers.set(embedder, opening);
    // As a load, it would end with its request, and what failed is tried again by the next one.
    context.waitUntil(opening.catch(() => classifiers.delete(embedder)));
  }
  return classifiers.get(embedder);
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
      const model = await embedder(env, context);
      if (new URL(request.url).pathname === '/intent')
        return Response.json(await (await classifierOf(model, context)).classify(texts));
      const { data, dims, tokens, truncated } = await model.embed(texts);
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
