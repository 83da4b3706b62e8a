/** Embeddings of other servers: OpenAI's route, this gateway's, and feature extraction of the hub's servers. */
import { guessTokens } from '../local/compute.ts';
import type { CallContext, Model, Vectors } from '../model.ts';
import { joinedVectors } from '../vectors.ts';
import { byIndex, objectOf, rowsOf, tokensOf, vectorOf } from './answers.ts';
import type { Answer, Upstream } from './client.ts';
import type { Remote } from './kinds.ts';

type Embed = NonNullable<Model['embed']>;

export const embedder =
  (upstream: Upstream, remote: Remote): Embed =>
  async (given, { dimensions, prompt = remote.prompt }, context) => {
    // Other servers know no prompts, so for them a prompt is its own text; this gateway knows those of its models by name, too.
    const isGateway = upstream.entry.kind === 'gateway';
    const texts = prompt && !isGateway ? given.map((text) => prompt + text) : given;
    const wanted = dimensions ?? remote.dimensions;
    const ask = upstream.entry.kind === 'hf' ? askFeatures : askEmbeddings;
    const send = (slice: string[], own: CallContext, deadline: number) =>
      ask(upstream, remote, slice, { dimensions, wanted, prompt: isGateway ? prompt : undefined }, own, deadline);
    const parts = await inParts(upstream, texts, context, send);
    const width = parts[0]?.dims[1] ?? 0;
    if (parts.some(({ dims }) => dims[1] !== width)) throw upstream.bad('gave vectors of several lengths');
    return joinedVectors(parts, width);
  };

/** Sends items in several requests at the same time; when one of them fails, the others end. */
export async function inParts<I, T>(
  upstream: Upstream,
  items: I[],
  context: CallContext,
  send: (slice: I[], context: CallContext, deadline: number) => Promise<T>,
): Promise<T[]> {
  const deadline = upstream.deadline();
  const { batch } = upstream.entry;
  if (items.length <= batch) return [await send(items, context, deadline)];
  const failure = new AbortController();
  const own = { ...context, signal: AbortSignal.any([context.signal, failure.signal]) };
  const parts = Array.from({ length: Math.ceil(items.length / batch) }, (_, index) =>
    send(items.slice(index * batch, (index + 1) * batch), own, deadline),
  );
  try {
    return await Promise.all(parts);
  } finally {
    failure.abort();
  }
}

interface Asked {
  prompt: string | undefined;
  /** The dimensions that the client asked for. */
  dimensions: number | undefined;
  /** The dimensions that the vectors must have. */
  wanted: number | undefined;
}

function askEmbeddings(
  upstream: Upstream,
  { model }: Remote,
  texts: string[],
  { dimensions, wanted, prompt }: Asked,
  context: CallContext,
  deadline: number,
): Promise<Vectors> {
  const body = {
    model,
    input: texts,
    // Every server knows floats; this gateway's base64 is a third of the bytes.
    encoding_format: upstream.entry.kind === 'gateway' ? 'base64' : 'float',
    ...(dimensions !== undefined && { dimensions }),
    ...(prompt !== undefined && { prompt }),
  };
  return upstream.post('/embeddings', body, context, deadline, ({ json, headers }) => {
    const items = byIndex(objectOf(json)?.data, texts.length);
    return partOf(
      upstream,
      items?.map(({ embedding }) => embedding),
      texts,
      wanted,
      { json, headers },
    );
  });
}

function askFeatures(
  upstream: Upstream,
  _: Remote,
  texts: string[],
  { dimensions, wanted }: Asked,
  context: CallContext,
  deadline: number,
): Promise<Vectors> {
  const body = { inputs: texts, truncate: true, ...(dimensions !== undefined && { dimensions }) };
  return upstream.post('', body, context, deadline, ({ json, headers }) =>
    partOf(upstream, Array.isArray(json) ? json : undefined, texts, wanted, { json, headers }),
  );
}

function partOf(
  upstream: Upstream,
  given: unknown[] | undefined,
  texts: string[],
  wanted: number | undefined,
  { json, headers }: Answer,
): Vectors {
  const { length } = texts;
  if (given?.length !== length) throw upstream.bad(`did not give ${length} vectors for ${length} texts`);
  const vectors = given.map(vectorOf);
  if (!vectors.every((vector) => vector !== undefined)) throw upstream.bad('gave a vector that is no list of numbers');
  const data = rowsOf(vectors, wanted);
  if (!data) {
    const lengths = [...new Set(vectors.map((vector) => vector.length))].join(' and ');
    throw upstream.bad(`gave vectors of ${lengths} values${wanted === undefined ? '' : `, expected ${wanted}`}`);
  }
  const cut = new Set((headers.get('x-truncated') ?? '').split(',').filter(Boolean).map(Number));
  return {
    data,
    dims: [length, data.length / length],
    tokens: shared(tokensOf(json), texts),
    truncated: texts.map((_, index) => cut.has(index)),
  };
}

/** The tokens of a whole request by its texts; a guess where the server does not tell. */
function shared(total: number, texts: string[]): number[] {
  const guesses = texts.map((text) => guessTokens(text));
  if (total === 0) return guesses;
  const sum = guesses.reduce((a, b) => a + b, 0);
  const counts = guesses.map((guess) => Math.floor((total * guess) / sum));
  // The first text gets the tokens that were rounded away.
  counts[0] = (counts[0] ?? 0) + total - counts.reduce((a, b) => a + b, 0);
  return counts;
}
