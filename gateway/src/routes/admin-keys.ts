/** Keys: made, listed, changed, rotated and revoked by an administrator. */
import * as v from 'valibot';
import { authenticatorOf } from '../http/auth.ts';
import { GatewayError } from '../http/errors.ts';
import { limit, page, pageOf } from '../http/page.ts';
import { formatKey, type KeyRecord, type Limits, mintKey, randomText, sha256 } from '../keys.ts';
import { type Call, operation, SCOPES } from '../operation.ts';
import { fields, name as modelName, stored, whole } from '../schemas.ts';
import { changeKey, findKey, listKeys, revokeKey, rotateKey } from '../tables/keys.ts';
import { seconds } from '../time.ts';

const GRACE_SECONDS = 86_400;

const label = v.pipe(stored, v.minLength(1, 'at least 1 character'), v.maxLength(128, 'at most 128 characters'));
const units = v.optional(whole(1, 1e12));
const scopes = v.pipe(
  v.array(v.picklist(SCOPES, `one of ${SCOPES.join(', ')}`), 'a list of scopes'),
  v.minLength(1, 'at least one scope'),
  v.maxLength(SCOPES.length, `at most ${SCOPES.length} scopes`),
);
const limits = fields({ rpm: units, tpm: units, tpd: units, concurrency: units });
const models = v.nullable(
  v.pipe(
    v.array(modelName, 'a list of models, or null for all'),
    v.minLength(1, 'at least one model, or null for all'),
    v.maxLength(100, 'at most 100 models'),
  ),
);
const history = v.picklist(['off', 'meta', 'full'], 'off, meta or full');
/** Seconds since 1970, as OpenAI writes times. */
const expiry = v.nullable(
  v.pipe(
    v.number('seconds since 1970, or null'),
    v.integer('seconds since 1970, or null'),
    v.minValue(0, 'seconds since 1970, or null'),
    v.maxValue(253_402_300_799, 'a time before the year 10000'),
  ),
);

const answer = v.object({
  object: v.literal('api_key'),
  id: v.string(),
  /** The text of the key, in the one answer that makes its secret. */
  key: v.optional(v.string()),
  name: v.string(),
  owner: v.string(),
  scopes: v.array(v.string()),
  limits: v.object({
    rpm: v.optional(v.number()),
    tpm: v.optional(v.number()),
    tpd: v.optional(v.number()),
    concurrency: v.optional(v.number()),
  }),
  models: v.nullable(v.array(v.string())),
  history: v.string(),
  created_at: v.number(),
  expires_at: v.nullable(v.number()),
  revoked_at: v.nullable(v.number()),
  /** The end of the time in which the secret before a rotation still holds. */
  old_until: v.nullable(v.number()),
});

function show(record: KeyRecord, key?: string): v.InferOutput<typeof answer> {
  return {
    object: 'api_key',
    id: record.id,
    ...(key === undefined ? {} : { key }),
    name: record.name,
    owner: record.owner,
    scopes: [...record.scopes],
    limits: record.limits as v.InferOutput<typeof answer>['limits'],
    models: record.models === null ? null : [...record.models],
    history: record.history,
    created_at: seconds(record.createdAt),
    expires_at: seconds(record.expiresAt),
    revoked_at: seconds(record.revokedAt),
    old_until: record.oldHash === null ? null : seconds(record.oldHashUntil),
  };
}

async function recordOf(call: Call<unknown, unknown>): Promise<KeyRecord> {
  const record = await findKey(call.host.sql, call.params.id ?? '');
  if (!record) throw new GatewayError('not_found', 'There is no key with this id.', { param: 'id' });
  return record;
}

export const createKey = operation({
  method: 'POST',
  path: '/admin/keys',
  scope: 'admin',
  summary: 'Makes a key. Its text is in this answer and nowhere else.',
  body: fields({
    name: label,
    owner: v.optional(label),
    scopes,
    limits: v.optional(limits),
    models: v.optional(models),
    history: v.optional(history),
    expires_at: v.optional(expiry),
  }),
  answer,
  status: 201,
  async handle({ host, body }) {
    const { key, record } = await mintKey(host.sql, {
      name: body.name,
      owner: body.owner,
      scopes: body.scopes,
      limits: (body.limits ?? {}) as Limits,
      models: body.models ?? null,
      history: body.history ?? 'off',
      expiresAt: typeof body.expires_at === 'number' ? body.expires_at * 1000 : null,
    });
    return Response.json(show(record, key), { status: 201 });
  },
});

export const readKeys = operation({
  method: 'GET',
  path: '/admin/keys',
  scope: 'admin',
  summary: 'Lists keys in the order of their ids, without their secrets.',
  query: fields({
    limit,
    after: v.optional(v.pipe(v.string(), v.regex(/^[0-9A-Za-z]{12}$/, 'the id of a key'))),
    owner: v.optional(label),
  }),
  answer: page(answer),
  async handle({ host, query }) {
    const records = await listKeys(host.sql, { ...query, limit: query.limit + 1 });
    return Response.json(pageOf(records, query.limit, (record) => show(record)));
  },
});

export const readKey = operation({
  method: 'GET',
  path: '/admin/keys/{id}',
  scope: 'admin',
  summary: 'Gives a key without its secret.',
  answer,
  async handle(call) {
    return Response.json(show(await recordOf(call)));
  },
});

export const patchKey = operation({
  method: 'PATCH',
  path: '/admin/keys/{id}',
  scope: 'admin',
  summary: 'Changes the fields of a key that are given; it holds everywhere within 30 seconds.',
  body: fields({
    name: v.optional(label),
    owner: v.optional(label),
    scopes: v.optional(scopes),
    limits: v.optional(limits),
    models: v.optional(models),
    history: v.optional(history),
    expires_at: v.optional(expiry),
  }),
  answer,
  async handle(call) {
    const { host, body } = call;
    const before = await recordOf(call);
    const after: KeyRecord = {
      ...before,
      name: body.name ?? before.name,
      owner: body.owner ?? before.owner,
      scopes: body.scopes ?? before.scopes,
      limits: (body.limits ?? before.limits) as Limits,
      models: body.models === undefined ? before.models : body.models,
      history: body.history ?? before.history,
      expiresAt: body.expires_at === undefined ? before.expiresAt : body.expires_at && body.expires_at * 1000,
    };
    await changeKey(host.sql, after);
    authenticatorOf(host).forget(after.id);
    return Response.json(show(after));
  },
});

export const rotate = operation({
  method: 'POST',
  path: '/admin/keys/{id}/rotate',
  scope: 'admin',
  summary: 'Gives a key another secret at once; the one before holds for a day, or for `grace_seconds`.',
  body: fields({
    grace_seconds: v.optional(whole(0, 30 * 86_400)),
  }),
  answer,
  async handle(call) {
    const { host, body } = call;
    const { id } = await recordOf(call);
    const secret = randomText(32);
    const until = Date.now() + (body.grace_seconds ?? GRACE_SECONDS) * 1000;
    if (!(await rotateKey(host.sql, id, sha256(secret), until))) {
      throw new GatewayError('conflict', 'This key is revoked; make another one.');
    }
    authenticatorOf(host).forget(id);
    return Response.json(show(await recordOf(call), formatKey(id, secret)));
  },
});

export const revoke = operation({
  method: 'DELETE',
  path: '/admin/keys/{id}',
  scope: 'admin',
  summary: 'Revokes a key, for good; it is refused everywhere within 30 seconds.',
  answer,
  async handle(call) {
    const { id } = await recordOf(call);
    await revokeKey(call.host.sql, id, Date.now());
    authenticatorOf(call.host).forget(id);
    return Response.json(show(await recordOf(call)));
  },
});
