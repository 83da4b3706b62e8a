/** Labels of texts, by a model of its own labels or by a head that was fitted to examples. */
import * as v from 'valibot';
import { ask, input, listOf, need, onTexts, usage, usageOf, user } from '../models/asking.ts';
import { MAX_LABELS } from '../models/upstream/kinds.ts';
import { operation } from '../operation.ts';
import { fields, name, whole } from '../schemas.ts';

export const classify = operation({
  method: 'POST',
  path: '/v1/classify',
  scope: 'classify',
  summary: 'Gives each text its likeliest labels. The label is null where the text is like none of the examples.',
  body: fields({ model: name, input, top_k: v.optional(whole(1, MAX_LABELS), 3), user }),
  answer: v.object({
    object: v.literal('list'),
    data: v.array(
      v.object({
        index: v.number(),
        label: v.nullable(v.string()),
        results: v.array(v.object({ label: v.string(), score: v.number() })),
      }),
    ),
    model: v.string(),
    usage,
  }),
  ...onTexts,
  async handle(call) {
    const { body } = call;
    const texts = listOf(body.input);
    const question = { task: 'classify', model: body.model, field: 'input', texts } as const;
    const { results, tokens } = await ask(call, question, (model, context) => need(model, 'classify')(texts, context));
    return Response.json({
      object: 'list',
      data: results.map(({ label, scores }, index) => ({ index, label, results: scores.slice(0, body.top_k) })),
      model: body.model,
      usage: usageOf(tokens),
    });
  },
});
