/** Embeddings of texts, as OpenAI has them. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { ask, dimensions, encoding, input, listOf, need, onTexts, usage, usageOf, user } from '../models/asking.ts';
import type { Vectors } from '../models/model.ts';
import { embedding, embeddingsOf, truncatedHeader } from '../models/vectors.ts';
import { type Call, operation } from '../operation.ts';
import { fields, name, text } from '../schemas.ts';

interface Asked {
  model: string;
  dimensions?: number | undefined;
  prompt?: string | undefined;
  /** Whether a text that is too long is cut, rather than refused. */
  truncate: boolean;
}

/** The vectors of texts, within the limits of the model. */
export async function embed(call: Call<unknown, unknown>, texts: string[], asked: Asked): Promise<Vectors> {
  const { dimensions, prompt } = asked;
  const options = { ...(dimensions !== undefined && { dimensions }), ...(prompt !== undefined && { prompt }) };
  const question = { task: 'embed', model: asked.model, field: 'input', texts, dimensions } as const;
  const { model, ...vectors } = await ask(call, question, (model, context) =>
    need(model, 'embed')(texts, options, context),
  );
  const cut = vectors.truncated.indexOf(true);
  if (!asked.truncate && cut >= 0) {
    const param = texts.length > 1 ? `input[${cut}]` : 'input';
    const most = model.info.maxTokens === undefined ? 'those of the model' : `${model.info.maxTokens} tokens`;
    throw new GatewayError('invalid_request', `${param}: expected at most ${most}`, { param });
  }
  return vectors;
}

export const createEmbeddings = operation({
  method: 'POST',
  path: '/v1/embeddings',
  scope: 'embed',
  summary: 'Encodes texts as vectors. The header x-truncated names those that were longer than the model reads.',
  body: fields({
    model: name,
    input,
    encoding_format: encoding,
    dimensions,
    /** Put before each text: a prompt of the model by its name, or its own text. */
    prompt: v.optional(v.pipe(text, v.maxLength(1024, 'at most 1024 characters'))),
    truncate: v.optional(v.boolean('true or false'), true),
    user,
  }),
  answer: v.object({ object: v.literal('list'), data: v.array(embedding), model: v.string(), usage }),
  ...onTexts,
  async handle(call) {
    const { body, event } = call;
    const vectors = await embed(call, listOf(body.input), body);
    return Response.json(
      {
        object: 'list',
        data: embeddingsOf(vectors, body.encoding_format),
        model: body.model,
        usage: usageOf(event.tokens),
      },
      { headers: truncatedHeader(vectors) },
    );
  },
});
