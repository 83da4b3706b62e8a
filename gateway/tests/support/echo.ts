/** An operation for tests of what stands before all handlers: it embeds by the model of the test's host. */
import * as v from 'valibot';
import { operation } from '../../src/operation.ts';
import { fields, name } from '../../src/schemas.ts';

const text = v.pipe(v.string('a string'), v.minLength(1, 'at least 1 character'));

export const echo = operation({
  method: 'POST',
  path: '/v1/echo',
  scope: 'embed',
  summary: 'Embeds texts.',
  body: fields({
    model: name,
    input: v.union(
      [text, v.pipe(v.array(text), v.minLength(1), v.maxLength(256))],
      'a string, or 1 to 256 strings, each of at least 1 character',
    ),
    fail: v.optional(v.boolean('true or false')),
  }),
  predicts: true,
  cached: true,
  batched: true,
  async handle({ host, body, event, signal, requestId }) {
    const model = await host.models.get(body.model, 'embed', { signal, requestId });
    event.model = body.model;
    event.run = 'local';
    if (body.fail) throw new TypeError(`cannot read "${String(body.input)}"`);
    const texts = typeof body.input === 'string' ? [body.input] : body.input;
    const { data, tokens } = (await model.embed?.(texts, {}, { signal, requestId })) ?? { data: [], tokens: [] };
    event.items = texts.length;
    event.tokens = tokens.reduce((sum, one) => sum + one, 0);
    return Response.json({ object: 'list', data: [...data], model: body.model, usage: { total_tokens: event.tokens } });
  },
});
