/** The route that a semantic router chooses for a text. */
import * as v from 'valibot';
import { ask, input, listOf, need, onTexts, usage, usageOf, user } from '../models/asking.ts';
import { operation } from '../operation.ts';
import { fields, name } from '../schemas.ts';

export const route = operation({
  method: 'POST',
  path: '/v1/route',
  scope: 'classify',
  summary: 'Chooses a route for each text by its meaning, or null where it is like no route.',
  body: fields({ model: name, input, user }),
  answer: v.object({
    object: v.literal('list'),
    data: v.array(v.object({ index: v.number(), route: v.nullable(v.string()), probability: v.number() })),
    model: v.string(),
    usage,
  }),
  ...onTexts,
  async handle(call) {
    const { body } = call;
    const texts = listOf(body.input);
    const question = { task: 'route', model: body.model, field: 'input', texts } as const;
    const { results, tokens } = await ask(call, question, (model, context) => need(model, 'route')(texts, context));
    return Response.json({
      object: 'list',
      data: results.map(({ route, probability }, index) => ({ index, route, probability })),
      model: body.model,
      usage: usageOf(tokens),
    });
  },
});
