/** A model for each task, quick and without weights, for tests of the routes' outsides. */
import { GatewayError } from '../../src/http/errors.ts';
import type { Model, ModelInfo, Models, Task, Vectors } from '../../src/models/model.ts';

const TASKS: readonly Task[] = ['embed', 'embed-image', 'classify', 'route', 'rerank', 'detect', 'digits'];

const infos: ModelInfo[] = TASKS.map((task) => ({
  id: `stub-${task}`,
  task,
  run: 'local',
  digest: `digest-of-${task}`,
  ...(task.startsWith('embed') ? { dimensions: 8, maxTokens: 256 } : {}),
  // More than any body has.
  maxItems: 4096,
  maxTokensRequest: 1_000_000,
}));

const tokensOf = (texts: readonly string[]) => texts.map((text) => Math.ceil(text.length / 4) + 2);
const sumOf = (texts: readonly string[]) => tokensOf(texts).reduce((sum, one) => sum + one, 0);
/** A number from 0 to 1 that depends on a text. */
const chance = (text: string) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7) / 997;

function vectors(texts: readonly string[], dimensions = 8): Vectors {
  const data = Float32Array.from(
    texts.flatMap((text) => Array.from({ length: dimensions }, (_, at) => chance(`${at}${text}`) + 0.01)),
  );
  return { data, dims: [texts.length, dimensions], tokens: tokensOf(texts), truncated: texts.map(() => false) };
}

const answers: Record<Task, Omit<Model, 'info'>> = {
  embed: { embed: async (texts, { dimensions }) => vectors(texts, dimensions) },
  'embed-image': { embedImages: async (images, { dimensions }) => vectors(images.map(String), dimensions) },
  classify: {
    classify: async (texts) => ({
      results: texts.map((text) => ({
        label: chance(text) > 0.5 ? 'one' : null,
        scores: [
          { label: 'one', score: chance(text) },
          { label: 'two', score: 1 - chance(text) },
        ],
      })),
      tokens: sumOf(texts),
    }),
  },
  route: {
    route: async (texts) => ({
      results: texts.map((text) => ({ route: chance(text) > 0.5 ? 'one' : null, probability: chance(text) })),
      tokens: sumOf(texts),
    }),
  },
  rerank: {
    rerank: async (query, documents) => ({
      results: documents.map((text) => chance(query + text)),
      tokens: sumOf(documents),
    }),
  },
  detect: {
    detect: async (texts) => ({
      results: texts.map((text) => ({ verdict: 'no sign', probability: chance(text), reasons: [], sentences: [] })),
      tokens: sumOf(texts),
    }),
  },
  digits: {
    digits: async ({ digits, seed }) => ({
      data: new Uint8Array(digits.length * 784).fill(128),
      dims: [digits.length, 28, 28],
      seed,
      digits,
    }),
  },
};

export const allModels: Models = {
  list: async () => infos,
  async get(name, task) {
    const info = infos.find(({ id }) => id === name);
    if (!info || info.task !== task) {
      throw new GatewayError('model_not_found', `model: expected stub-${task}`, { param: 'model' });
    }
    return { info, ...answers[task] };
  },
  states: () => infos.map(({ id }) => ({ id, loaded: true })),
  queuedTokens: 0,
};
