/** The methods of a model on another server, by the kind of the server. */
import { base64Of, fromBase64 } from '../../bytes.ts';
import type { RemoteEntry } from '../config.ts';
import { guessTokens } from '../local/compute.ts';
import {
  type Classification,
  type DetectionAnswer,
  type DigitsAnswer,
  ITEM_TOKENS,
  type Model,
  type Task,
} from '../model.ts';
import { byIndex, eachOf, isProbability, objectOf, rowsOf, tokensOf, vectorOf } from './answers.ts';
import type { Upstream } from './client.ts';
import { embedder, inParts } from './embed.ts';

/** A model as its server knows it. */
export interface Remote {
  model: string;
  dimensions?: number | undefined;
  prompt?: string | undefined;
  layer?: number | undefined;
  classifier?: string | undefined;
}

/** The model that a server is asked for, by an entry of `models.jsonc`, or as the fallback of a local model. */
export function remoteOf(id: string, entry: Partial<RemoteEntry>, upstream: Upstream): Remote {
  const { dimensions, prompt, model, layer, classifier } = entry;
  return { model: model ?? upstream.entry.model ?? id, dimensions, prompt, layer, classifier };
}

export function remoteCalls(task: Task, upstream: Upstream, remote: Remote): Omit<Model, 'info'> {
  if (upstream.entry.kind === 'analyze') return { detect: analyzer(upstream, remote) };
  if (task === 'embed') return { embed: embedder(upstream, remote) };
  return { [METHODS[task]]: ROUTES[task]?.(upstream, remote) };
}

/** The member of a model for each task. */
export const METHODS = {
  embed: 'embed',
  'embed-image': 'embedImages',
  classify: 'classify',
  route: 'route',
  rerank: 'rerank',
  detect: 'detect',
  digits: 'digits',
} as const satisfies Record<Task, keyof Model>;

/** The routes of this gateway at another place; `rerank` is that of several servers too. */
const ROUTES: Partial<Record<Task, (upstream: Upstream, remote: Remote) => unknown>> = {
  'embed-image': imageEmbedder,
  classify: classifier,
  route: router,
  rerank: reranker,
  detect: detector,
  digits: drawer,
};

/**
 * Returns the value that was read from an answer.
 * @throws {GatewayError} `upstream_bad_answer` where there is none
 */
function need<T>(upstream: Upstream, value: T | undefined, expected: string): T {
  if (value === undefined) throw upstream.bad(`gave another answer than ${expected}`);
  return value;
}

function imageEmbedder(upstream: Upstream, { model, dimensions: own }: Remote): NonNullable<Model['embedImages']> {
  return async (images, { dimensions }, context) => {
    const send = (slice: Uint8Array[], own: typeof context, deadline: number) => {
      const input = slice.map(dataUrl);
      const body = { model, input, encoding_format: 'base64', ...(dimensions !== undefined && { dimensions }) };
      return upstream.post('/images/embeddings', body, own, deadline, ({ json }) => {
        const items = byIndex(objectOf(json)?.data, slice.length);
        const vectors = items && eachOf(items, (item) => vectorOf(objectOf(item)?.embedding));
        return need(upstream, vectors, `${slice.length} vectors`);
      });
    };
    const vectors = (await inParts(upstream, images, context, send)).flat();
    const data = need(upstream, rowsOf(vectors, dimensions ?? own), 'vectors of one length');
    return {
      data,
      dims: [images.length, data.length / images.length],
      tokens: images.map(() => ITEM_TOKENS),
      truncated: images.map(() => false),
    };
  };
}

/** The name of the format is for people: the decoder looks at the bytes. */
function dataUrl(bytes: Uint8Array): string {
  const type =
    { '\xff\xd8': 'jpeg', '\x89P': 'png', GI: 'gif' }[String.fromCharCode(...bytes.subarray(0, 2))] ?? 'webp';
  return `data:image/${type};base64,${base64Of(bytes)}`;
}

/** A route that takes `{model, input}` and gives a list with `index`. */
function listed<T>(
  path: string,
  read: (item: Record<string, unknown>) => T | undefined,
  expected: string,
  more: object = {},
) {
  return (upstream: Upstream, { model }: Remote) =>
    async (texts: string[], context: Parameters<NonNullable<Model['classify']>>[1]) => {
      const parts = await inParts(upstream, texts, context, (input, own, deadline) =>
        upstream.post(path, { model, input, ...more }, own, deadline, ({ json }) => {
          const items = byIndex(objectOf(json)?.data, input.length);
          const results = items && eachOf(items, (item) => read(item as Record<string, unknown>));
          return { results: need(upstream, results, expected), tokens: tokensOf(json) };
        }),
      );
      return {
        results: parts.flatMap(({ results }) => results),
        tokens: parts.reduce((sum, { tokens }) => sum + tokens, 0),
      };
    };
}

/** The most labels that a request may ask for. */
export const MAX_LABELS = 1000;

function classifier(upstream: Upstream, remote: Remote): NonNullable<Model['classify']> {
  const read = ({ label, results }: Record<string, unknown>): Classification | undefined => {
    const scores = eachOf(results, (one) => {
      const { label, score } = objectOf(one) ?? {};
      return typeof label === 'string' && typeof score === 'number' ? { label, score } : undefined;
    });
    if (!scores?.length || !(label === null || typeof label === 'string')) return undefined;
    return { scores, label };
  };
  return listed('/classify', read, 'labels with their scores for each text', { top_k: MAX_LABELS })(upstream, remote);
}

function router(upstream: Upstream, remote: Remote): NonNullable<Model['route']> {
  const read = ({ route, probability }: Record<string, unknown>) =>
    (route === null || typeof route === 'string') && isProbability(probability) ? { route, probability } : undefined;
  return listed('/route', read, 'a route and its probability for each text')(upstream, remote);
}

function reranker(upstream: Upstream, { model }: Remote): NonNullable<Model['rerank']> {
  return (query, documents, context) => {
    const body = { model, query, documents, top_n: documents.length };
    return upstream.post('/rerank', body, context, upstream.deadline(), ({ json }) => {
      const items = byIndex(objectOf(json)?.results, documents.length);
      const results = items && eachOf(items, (item) => finite(objectOf(item)?.relevance_score));
      const tokens = tokensOf(json) || [query, ...documents].reduce((sum, text) => sum + guessTokens(text), 0);
      return { results: need(upstream, results, `a score for each of ${documents.length} documents`), tokens };
    });
  };
}

const finite = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

function detector(upstream: Upstream, { model }: Remote): NonNullable<Model['detect']> {
  return async (texts, context) => {
    const deadline = upstream.deadline();
    const answers = texts.map((input) =>
      upstream.post('/detect', { model, input, sentences: true }, context, deadline, ({ json }) => ({
        result: need(upstream, detectionOf(json), 'a verdict'),
        tokens: tokensOf(json),
      })),
    );
    return together(await Promise.all(answers));
  };
}

const together = (answers: { result: DetectionAnswer; tokens: number }[]) => ({
  results: answers.map(({ result }) => result),
  tokens: answers.reduce((sum, { tokens }) => sum + tokens, 0),
});

const VERDICTS = ['machine', 'no sign', 'uncertain'] as const;

function detectionOf(json: unknown): DetectionAnswer | undefined {
  const { verdict, probability, reasons = [], sentences = [] } = objectOf(json) ?? {};
  const known = VERDICTS.find((one) => one === verdict);
  const said = eachOf(reasons, (one) => (typeof one === 'string' ? one : undefined));
  const marks = eachOf(sentences, (one) => {
    const { start, end, contribution } = objectOf(one) ?? {};
    const numbers = [start, end, contribution].map(finite);
    if (numbers.includes(undefined)) return undefined;
    return { start: numbers[0] as number, end: numbers[1] as number, contribution: numbers[2] as number };
  });
  if (!known || !said || !marks || !(probability === null || isProbability(probability))) return undefined;
  return { verdict: known, probability, reasons: said, sentences: marks };
}

/** A webhook that takes one text, and says whether it is a machine's. */
function analyzer(upstream: Upstream, { model, layer, classifier }: Remote): NonNullable<Model['detect']> {
  return async (texts, context) => {
    const deadline = upstream.deadline();
    const answers = texts.map((text) => {
      const body = {
        text,
        model_name: model,
        ...(layer !== undefined && { layer }),
        ...(classifier !== undefined && { classifier_type: classifier }),
      };
      return upstream.post('', body, context, deadline, ({ json }) => {
        const { probability = null, is_fake: isFake } = objectOf(json) ?? {};
        const isValid = typeof isFake === 'boolean' && (probability === null || isProbability(probability));
        const verdict = isFake ? 'machine' : 'no sign';
        const result: DetectionAnswer | undefined = isValid
          ? { verdict, probability: probability as number | null, reasons: [], sentences: [] }
          : undefined;
        const expected = '{prediction, probability, is_fake} with a probability from 0 to 1';
        return { result: need(upstream, result, expected), tokens: guessTokens(text) };
      });
    });
    return together(await Promise.all(answers));
  };
}

function drawer(upstream: Upstream, { model }: Remote): NonNullable<Model['digits']> {
  return ({ digits, seed, steps, guidance }, context) => {
    const body = {
      model,
      digits,
      seed,
      ...(steps !== undefined && { steps }),
      ...(guidance !== undefined && { guidance }),
    };
    const size = digits.length * 28 * 28;
    return upstream.post('/digits', body, context, upstream.deadline(), ({ json }): DigitsAnswer => {
      const { data: base64, seed: drawn } = objectOf(json) ?? {};
      const data = typeof base64 === 'string' ? fromBase64(base64) : undefined;
      const isWhole = data?.length === size && drawn === seed;
      return {
        data: need(upstream, isWhole ? data : undefined, `${digits.length} digits of 28 by 28 pixels`),
        dims: [digits.length, 28, 28],
        seed,
        digits,
      };
    });
  };
}
