/** Embeddings as Ollama has them. */
import * as v from 'valibot';
import { dimensions, input, listOf, maxBytes } from '../models/asking.ts';
import { operation } from '../operation.ts';
import { fields, noList, text } from '../schemas.ts';
import { embed } from './embeddings.ts';

/** Ollama's clients may write the tag of a model behind its name. */
const model = v.pipe(
  text,
  v.regex(/^[\w.-]+(\/[\w.-]+)?(:latest)?$/, 'a name of letters, digits, ".", "_" and "-"'),
  v.maxLength(128, 'at most 128 characters'),
  v.transform((given) => given.replace(/:latest$/, '')),
);

export const ollamaEmbed = operation({
  method: 'POST',
  path: '/api/embed',
  scope: 'embed',
  summary: 'Encodes texts as vectors, for clients of Ollama.',
  body: fields({
    model,
    input,
    truncate: v.optional(v.boolean('true or false'), true),
    dimensions,
    /** Taken, and without effect: there is nothing to keep alive, and no other option. */
    keep_alive: v.optional(v.union([text, v.number('a duration')], 'a duration')),
    options: v.optional(noList(v.record(text, v.unknown(), 'options by their names'))),
  }),
  answer: v.object({
    model: v.string(),
    embeddings: v.array(v.array(v.number())),
    total_duration: v.number(),
    load_duration: v.number(),
    prompt_eval_count: v.number(),
  }),
  maxBytes,
  predicts: true,
  async handle(call) {
    const { body, event } = call;
    const started = performance.now();
    const { data, dims } = await embed(call, listOf(body.input), body);
    const [count, width] = dims;
    return Response.json({
      model: body.model,
      embeddings: Array.from({ length: count }, (_, index) =>
        Array.from(data.subarray(index * width, (index + 1) * width)),
      ),
      // Nanoseconds.
      total_duration: Math.round((performance.now() - started) * 1e6),
      load_duration: 0,
      prompt_eval_count: event.tokens,
    });
  },
});
