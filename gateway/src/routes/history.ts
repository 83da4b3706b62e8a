/** Predictions that a key has asked to keep. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { limit, page, pageOf } from '../http/page.ts';
import type { Key } from '../keys.ts';
import { operation } from '../operation.ts';
import { fields } from '../schemas.ts';
import { deletePrediction, listPredictions, type Prediction } from '../tables/history.ts';
import { seconds } from '../time.ts';

const ID = /^pred_[0-9a-z]{9}[0-9A-Za-z]{12}$/;

const prediction = v.object({
  object: v.literal('prediction'),
  id: v.string(),
  /** Seconds since 1970. */
  at: v.number(),
  key: v.string(),
  route: v.string(),
  model: v.nullable(v.string()),
  digest: v.string(),
  input: v.nullable(v.unknown()),
  output: v.unknown(),
  ms: v.number(),
  expires_at: v.number(),
});

const shown = (one: Prediction): v.InferOutput<typeof prediction> => ({
  object: 'prediction',
  id: one.id,
  at: seconds(one.at),
  key: one.keyId,
  route: one.route,
  model: one.model || null,
  digest: one.digest,
  input: one.input === null ? null : JSON.parse(one.input),
  output: JSON.parse(one.output),
  ms: one.ms,
  expires_at: seconds(one.expiresAt),
});

/** The key whose predictions a key sees: itself, or any where it is an administrator's. */
const seenBy = (key: Key) => (key.scopes.includes('admin') ? undefined : key.id);

export const history = operation({
  method: 'GET',
  path: '/v1/history',
  scope: 'history',
  summary: 'Lists the predictions of this key, the latest first; an administrator sees those of all keys.',
  query: fields({
    limit,
    before: v.optional(v.pipe(v.string(), v.regex(ID, 'the id of a prediction'))),
  }),
  answer: page(prediction),
  async handle({ host, key, query }) {
    const { before, limit } = query;
    const found = await listPredictions(host.sql, {
      keyId: seenBy(key),
      // The time is in the id, so that a page can follow one that was deleted meanwhile.
      before: before === undefined ? undefined : { id: before, at: Number.parseInt(before.slice(5, 14), 36) },
      limit: limit + 1,
    });
    return Response.json(pageOf(found, limit, shown));
  },
});

export const forget = operation({
  method: 'DELETE',
  path: '/v1/history/{id}',
  scope: 'history',
  summary: 'Deletes a prediction of this key.',
  answer: v.object({ object: v.literal('prediction'), id: v.string(), deleted: v.literal(true) }),
  async handle({ host, key, params }) {
    const id = params.id ?? '';
    if (!(await deletePrediction(host.sql, id, seenBy(key)))) {
      throw new GatewayError('not_found', 'There is no prediction with this id.', { param: 'id' });
    }
    return Response.json({ object: 'prediction', id, deleted: true });
  },
});
