/** The usage of keys: requests, items and tokens by hour or day. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { operation } from '../operation.ts';
import { fields, stored } from '../schemas.ts';
import { readUsage } from '../tables/usage.ts';

const DAY_SECONDS = 86_400;
const MAX_ROWS = 10_000;

const time = v.optional(v.pipe(v.string(), v.regex(/^(0|[1-9]\d{0,10})$/, 'seconds since 1970'), v.transform(Number)));

const row = v.object({
  start: v.number(),
  key: v.string(),
  route: v.string(),
  model: v.nullable(v.string()),
  requests: v.number(),
  errors: v.number(),
  items: v.number(),
  tokens: v.number(),
  cached: v.number(),
  ms: v.number(),
});

export const usage = operation({
  method: 'GET',
  path: '/v1/usage',
  scope: 'any',
  summary: 'Gives what this key has used, the last 30 days where no time is given; an administrator sees all keys.',
  query: fields({
    from: time,
    to: time,
    by: v.optional(v.picklist(['hour', 'day'], 'hour or day'), 'day'),
    key_id: v.optional(v.pipe(stored, v.minLength(1, 'the id of a key'), v.maxLength(300, 'the id of a key'))),
  }),
  answer: v.object({
    object: v.literal('list'),
    from: v.number(),
    to: v.number(),
    by: v.picklist(['hour', 'day']),
    data: v.array(row),
    has_more: v.boolean(),
  }),
  async handle({ host, key, query }) {
    const admin = key.scopes.includes('admin');
    if (!admin && query.key_id !== undefined && query.key_id !== key.id) {
      throw new GatewayError('missing_scope', 'The usage of another key needs the scope "admin".', { param: 'key_id' });
    }
    const to = query.to ?? Math.floor(Date.now() / 1000) + 1;
    const from = query.from ?? Math.max(0, to - 30 * DAY_SECONDS);
    const rows = await readUsage(host.sql, {
      keyId: admin ? query.key_id : key.id,
      from: from * 1000,
      to: to * 1000,
      by: query.by,
      limit: MAX_ROWS + 1,
    });
    return Response.json({
      object: 'list',
      from,
      to,
      by: query.by,
      data: rows.slice(0, MAX_ROWS).map(({ start, keyId, model, ...rest }) => ({
        start: start / 1000,
        key: keyId,
        model: model || null,
        ...rest,
      })),
      has_more: rows.length > MAX_ROWS,
    });
  },
});
