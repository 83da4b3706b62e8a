/** Models that give labels of their own, and heads that were fitted to an embedder. */
import { type Embedder, SequenceClassifier, TextClassifier } from 'pilotlight';
import type { CallContext } from '../model.ts';
import { guessTokens, SLICE_TOKENS } from './compute.ts';
import type { HeadBase, Loaded, LoadRequest } from './loader.ts';

export async function loadClassifier({ repository, options, compute }: LoadRequest): Promise<Loaded> {
  const classifier = await SequenceClassifier.load(repository, options);
  const { maxTokens } = classifier;
  return {
    maxTokens,
    calls: {
      async classify(texts, { signal, job }) {
        // Such a model does not tell its width; most are as large as MiniLM.
        const size = { most: SLICE_TOKENS, tokensOf: (text: string) => guessTokens(text, maxTokens), job };
        const answers = (await compute.each(texts, size, (slice) => classifier.classify(slice, { signal }))).flat();
        return {
          results: answers.map(({ label, scores }) => ({
            label,
            scores: scores
              .map(({ label, probability, logit }) => ({ label, score: probability ?? logit }))
              .sort((a, b) => b.score - a.score),
          })),
          tokens: answers.reduce((sum, { tokens }) => sum + tokens, 0),
        };
      },
    },
    dispose: () => classifier.dispose(),
  };
}

/** One call of a head: what its embedder has to know, and what it tells. */
interface Asking {
  context: CallContext;
  tokens: number;
}

const nobody = (): CallContext => ({ signal: new AbortController().signal, requestId: '' });

export async function loadClassifierHead(base: HeadBase, json: object): Promise<Loaded> {
  const askings = new WeakMap<object, Asking>();
  const embedder: Embedder = {
    dimensions: base.dimensions,
    ...(base.embedder && { backend: base.embedder.backend }),
    async embed(texts, { prompt } = {}) {
      // A classifier hands on the very list that it was given.
      const asking = typeof texts === 'object' ? askings.get(texts) : undefined;
      // A head that was fitted without a prompt wants the model's own, not the one of `models.jsonc`.
      const own = prompt ?? base.embedder?.defaultPrompt ?? '';
      const vectors = await base.embed([texts].flat(), { prompt: own }, asking?.context ?? nobody());
      if (asking) asking.tokens += vectors.tokens.reduce((sum, count) => sum + count, 0);
      return vectors;
    },
  };
  // The embedder itself knows its model, so it refuses a head of another; the one above counts tokens and takes turns.
  if (base.embedder) (await TextClassifier.fromJSON(base.embedder, json)).dispose();
  const classifier = await TextClassifier.fromJSON(embedder, json);
  const ask = async (texts: string[], context: CallContext) => {
    const list = [...texts];
    const asking = { context, tokens: 0 };
    askings.set(list, asking);
    const topK = classifier.labels.length;
    const answers = await classifier.classify(list, { topK, signal: context.signal });
    return { answers, tokens: asking.tokens };
  };
  return {
    calls: {
      async classify(texts, context) {
        const { answers, tokens } = await ask(texts, context);
        const results = answers.map(({ label, scores }) => ({
          label,
          scores: scores.map(({ label, probability }) => ({ label, score: probability })),
        }));
        return { results, tokens };
      },
      async route(texts, context) {
        const { answers, tokens } = await ask(texts, context);
        return { results: answers.map(({ label, probability }) => ({ route: label, probability })), tokens };
      },
    },
    dispose: () => classifier.dispose(),
  };
}
