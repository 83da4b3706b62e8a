/** The similarity of sentences to one: the cosine of their vectors. */
import * as v from 'valibot';
import { onTexts, single, strings, usage, usageOf, user } from '../models/asking.ts';
import { operation } from '../operation.ts';
import { fields, name } from '../schemas.ts';
import { embed } from './embeddings.ts';

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const y = b[i] as number;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot === 0 ? 0 : dot / Math.sqrt(aa * bb);
}

export const similarity = operation({
  method: 'POST',
  path: '/v1/similarity',
  scope: 'embed',
  summary: 'Compares a sentence with others by the cosine of their vectors.',
  body: fields({ model: name, source: single, sentences: strings(), user }),
  answer: v.object({
    object: v.literal('list'),
    data: v.array(v.object({ index: v.number(), score: v.number() })),
    model: v.string(),
    usage,
  }),
  ...onTexts,
  async handle(call) {
    const { model, source, sentences } = call.body;
    const { data, dims } = await embed(call, [source, ...sentences], { model, truncate: true });
    const row = (index: number): Float32Array => data.subarray(index * dims[1], (index + 1) * dims[1]);
    const own = row(0);
    return Response.json({
      object: 'list',
      data: sentences.map((_, index) => ({ index, score: cosine(own, row(index + 1)) })),
      model,
      usage: usageOf(call.event.tokens),
    });
  },
});
