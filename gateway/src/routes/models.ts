/** The models that a key may use. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { mayUse } from '../keys.ts';
import type { ModelInfo } from '../models/model.ts';
import { type Call, operation } from '../operation.ts';

const answer = v.object({
  object: v.literal('model'),
  id: v.string(),
  /** OpenAI's clients expect a time; 0 says that it is not known. */
  created: v.number(),
  owned_by: v.string(),
  task: v.string(),
  run: v.picklist(['local', 'upstream']),
  digest: v.string(),
  dimensions: v.optional(v.number()),
  max_tokens: v.optional(v.number()),
  max_items: v.number(),
  max_tokens_request: v.number(),
  layer: v.optional(v.number()),
  classifier: v.optional(v.string()),
});

const shown = (info: ModelInfo): v.InferOutput<typeof answer> => ({
  object: 'model',
  id: info.id,
  created: 0,
  owned_by: info.bases?.at(-1)?.split('/').at(-2) ?? 'gateway',
  task: info.task,
  run: info.run,
  digest: info.digest,
  ...(info.dimensions !== undefined && { dimensions: info.dimensions }),
  ...(info.maxTokens !== undefined && { max_tokens: info.maxTokens }),
  max_items: info.maxItems,
  max_tokens_request: info.maxTokensRequest,
  ...(info.layer !== undefined && { layer: info.layer }),
  ...(info.classifier !== undefined && { classifier: info.classifier }),
});

async function allowed({ host, key }: Call<unknown, unknown>): Promise<ModelInfo[]> {
  return (await host.models.list()).filter(({ id }) => mayUse(key, id));
}

export const listModels = operation({
  method: 'GET',
  path: '/v1/models',
  scope: 'any',
  summary: 'Lists the models that the key may use, with their tasks and limits.',
  answer: v.object({ object: v.literal('list'), data: v.array(answer) }),
  async handle(call) {
    return Response.json({ object: 'list', data: (await allowed(call)).map(shown) });
  },
});

export const getModel = operation({
  method: 'GET',
  // Names of models may have a slash.
  path: '/v1/models/{id+}',
  scope: 'any',
  summary: 'Tells of one model.',
  answer,
  async handle(call) {
    const infos = await allowed(call);
    const id = decoded(call.params.id ?? '');
    const info = infos.find((one) => one.id === id);
    if (info) return Response.json(shown(info));
    const there = infos.map((one) => one.id).join(', ') || 'none';
    throw new GatewayError('model_not_found', `There is no model "${id.slice(0, 200)}"; there are: ${there}.`, {
      param: 'id',
    });
  },
});

/** Clients write the slash of a name as %2F. */
function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
