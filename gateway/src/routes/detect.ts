/** Detection of texts that look like a machine's: a hint for a person who knows the context, never proof. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { mayUse } from '../keys.ts';
import { ask, need, single, usage, usageOf, user } from '../models/asking.ts';
import type { DetectionAnswer, ModelInfo } from '../models/model.ts';
import { type Call, operation } from '../operation.ts';
import { fields, name, text, whole } from '../schemas.ts';

async function detectionOf(call: Call<unknown, unknown>, id: string | undefined, given: string, field: string) {
  const texts = [given];
  const question = { task: 'detect', model: id, field, texts } as const;
  const { results, tokens, model } = await ask(call, question, (model, context) =>
    need(model, 'detect')(texts, context),
  );
  return { detection: results[0] as DetectionAnswer, tokens, id: model.info.id };
}

export const detect = operation({
  method: 'POST',
  path: '/v1/detect',
  scope: 'detect',
  summary: 'Says whether a text looks like a machine’s. A hint for a person who knows the context, never proof.',
  body: fields({
    model: v.optional(name),
    input: single,
    sentences: v.optional(v.boolean('true or false'), false),
    user,
  }),
  answer: v.object({
    object: v.literal('detection'),
    verdict: v.picklist(['machine', 'no sign', 'uncertain']),
    probability: v.nullable(v.number()),
    reasons: v.array(v.string()),
    sentences: v.optional(v.array(v.object({ start: v.number(), end: v.number(), contribution: v.number() }))),
    model: v.string(),
    usage,
  }),
  cached: true,
  predicts: true,
  batched: true,
  async handle(call) {
    const { model, input, sentences } = call.body;
    const { detection, tokens, id } = await detectionOf(call, model, input, 'input');
    const { sentences: marks, ...rest } = detection;
    return Response.json({
      object: 'detection',
      ...rest,
      ...(sentences && { sentences: marks }),
      model: id,
      usage: usageOf(tokens),
    });
  },
});

interface Named {
  model_name?: string | undefined;
  layer?: number | undefined;
  classifier_type?: string | undefined;
}

const textOf = ({ id, bases = [], layer, classifier }: ModelInfo): string =>
  [...new Set([id, ...bases])].join(' = ') +
  (layer === undefined ? '' : `, layer ${layer}`) +
  (classifier === undefined ? '' : `, ${classifier}`);

/**
 * The detector that model, layer and classifier name together; without any, the first.
 * @throws {GatewayError} `model_not_found` with the detectors there are
 */
async function detectorNamed(call: Call<unknown, unknown>, named: Named): Promise<string> {
  const { host, key } = call;
  const all = (await host.models.list()).filter(({ id, task }) => task === 'detect' && mayUse(key, id));
  const { model_name: name, layer, classifier_type: classifier } = named;
  const found = all.find(
    (info) =>
      (name === undefined || info.id === name || info.bases?.includes(name)) &&
      (layer === undefined || info.layer === layer) &&
      (classifier === undefined || info.classifier === classifier),
  );
  if (found) return found.id;
  const there = all.map(textOf).join('; ') || 'none';
  throw new GatewayError('model_not_found', `No detector has this model, layer and classifier; there are: ${there}.`, {
    param: 'model_name',
  });
}

export const analyze = operation({
  method: 'POST',
  path: '/analyze',
  scope: 'detect',
  summary: 'The detector under its former address: it is found by model, layer and classifier together.',
  body: fields({
    text: single,
    model_name: v.optional(name),
    layer: v.optional(whole(0, 1000)),
    classifier_type: v.optional(v.pipe(text, v.maxLength(64, 'at most 64 characters'))),
  }),
  answer: v.object({
    prediction: v.picklist(['machine', 'no sign', 'uncertain']),
    probability: v.nullable(v.number()),
    is_fake: v.boolean(),
  }),
  cached: true,
  predicts: true,
  async handle(call) {
    const { text: given, ...named } = call.body;
    const id = await detectorNamed(call, named);
    const { verdict, probability } = (await detectionOf(call, id, given, 'text')).detection;
    return Response.json({ prediction: verdict, probability, is_fake: verdict === 'machine' });
  },
});
