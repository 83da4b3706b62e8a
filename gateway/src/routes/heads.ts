/** Heads: classifiers, routers and detectors that were fitted to a model elsewhere, put into a running deployment. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { sha256 } from '../keys.ts';
import { contextOf } from '../models/asking.ts';
import { headKey } from '../models/heads.ts';
import { type HeadDraft, Registry } from '../models/registry.ts';
import { type Call, operation } from '../operation.ts';
import { fields, name, text, whole } from '../schemas.ts';
import { deleteHead, type HeadRow, putHead } from '../tables/heads.ts';
import { seconds } from '../time.ts';

const FORMATS = ['pilotlight-classifier', 'pilotlight-detector'] as const;

/** The fields of a head that are read here; the package reads the rest. */
const head = v.looseObject(
  {
    format: v.picklist(
      FORMATS,
      `what toJSON() of a TextClassifier, SemanticRouter or TextDetector gave: ${FORMATS.join(' or ')}`,
    ),
    embedder: v.optional(
      v.looseObject({ model: v.optional(text), layers: v.optional(v.number('a number')) }, 'an object'),
    ),
    model: v.optional(v.looseObject({ model: v.optional(text) }, 'an object')),
    layer: v.optional(whole(0, 999)),
    head: v.looseObject({ type: v.optional(text) }, 'an object'),
  },
  'a JSON object',
);

const answer = v.object({
  object: v.literal('head'),
  name: v.string(),
  task: v.picklist(['classify', 'route', 'detect']),
  model: v.string(),
  layer: v.nullable(v.number()),
  classifier: v.nullable(v.string()),
  digest: v.string(),
  created_at: v.number(),
});

const shown = ({ createdAt, ...row }: HeadRow): v.InferOutput<typeof answer> => ({
  object: 'head',
  ...row,
  created_at: seconds(createdAt),
});

/** The registry of a host. A host whose models `createModels` has not made takes no heads. */
function registryOf({ host }: Call<unknown, unknown>): Registry {
  if (host.models instanceof Registry) return host.models;
  throw new GatewayError('not_found', 'The models of this host take no heads.');
}

const NAME = /^[\w.-]{1,64}$/;

function nameOf({ params }: Call<unknown, unknown>): string {
  const given = params.name ?? '';
  if (NAME.test(given) && !/^\.+$/.test(given)) return given;
  throw new GatewayError('invalid_request', 'name: expected 1 to 64 letters, digits, ".", "_" and "-"', {
    param: 'name',
  });
}

/** The model of `models.jsonc` that a head is put on: the one that the query names, or the one that it was fitted to. */
function modelOf(registry: Registry, json: v.InferOutput<typeof head>, given: string | undefined): string {
  const isDetector = json.format === 'pilotlight-detector';
  const task = isDetector ? 'detect' : 'embed';
  const ids = Object.entries(registry.config.models).flatMap(([id, entry]) => (entry.task === task ? [id] : []));
  const there = `of ${ids.join(', ') || 'none'}, the models for ${task}`;
  if (given !== undefined) {
    if (ids.includes(given)) return given;
    throw new GatewayError('model_not_found', `model: expected one ${there}`, { param: 'model' });
  }
  const made = isDetector ? json.model?.model : json.embedder?.model;
  const found = made === undefined ? undefined : registry.catalog.baseOf(made, task, json.embedder?.layers);
  if (found !== undefined) return found;
  const why = made === undefined ? 'the JSON does not name its model' : `it was fitted to ${made}`;
  throw new GatewayError('invalid_request', `model: ${why}; name one ${there}, in the query`, { param: 'model' });
}

export const putOneHead = operation({
  method: 'PUT',
  path: '/admin/heads/{name}',
  scope: 'admin',
  summary: 'Puts a TextClassifier, a SemanticRouter or a TextDetector in place. It is tried before it is kept.',
  query: fields({
    model: v.optional(name),
    task: v.optional(v.picklist(['classify', 'route'], 'classify or route')),
    layer: v.optional(v.pipe(text, v.regex(/^\d{1,3}$/, 'a whole number'), v.transform(Number))),
    classifier: v.optional(v.pipe(text, v.regex(/^[\w.-]{1,64}$/, 'letters, digits, ".", "_" and "-"'))),
  }),
  body: head,
  answer,
  maxBytes: 16 << 20,
  // A head of nearest neighbours has the vectors of its examples.
  maxValues: 1 << 21,
  async handle(call) {
    const { host, body, query } = call;
    const registry = registryOf(call);
    const own = nameOf(call);
    if (Object.hasOwn(registry.config.models, own))
      throw new GatewayError('conflict', `models.jsonc has a model "${own}"; give the head another name.`);
    const isDetector = body.format === 'pilotlight-detector';
    const draft: HeadDraft = {
      name: own,
      task: isDetector ? 'detect' : (query.task ?? 'classify'),
      model: modelOf(registry, body, query.model),
      layer: query.layer ?? body.layer ?? null,
      classifier: query.classifier ?? kindOf(body.head) ?? null,
    };
    await registry.tryHead(draft, body, contextOf(call));
    const json = JSON.stringify(body);
    const row: HeadRow = { ...draft, digest: sha256(json), createdAt: Date.now() };
    const before = await registry.heads.findNow(own);
    await host.blobs.put(headKey(own, row.digest), new TextEncoder().encode(json));
    await host.sql.batch([putHead(row)]);
    registry.forgetHead(own);
    if (before && before.digest !== row.digest) await host.blobs.delete([headKey(own, before.digest)]);
    call.event.model = draft.model;
    return Response.json(shown(row));
  },
});

/**
 * The kind of classifier that a detector's head is, by what it has inside of calibrations and pipelines: `svm` for support vectors, else the
 * package's own name.
 */
function kindOf(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { type, head: inner, members } = json as { type?: unknown; head?: unknown; members?: unknown };
  const below = kindOf(inner) ?? (Array.isArray(members) ? kindOf(members[0]) : undefined);
  if (below !== undefined) return below;
  if (type === 'svc') return 'svm';
  return typeof type === 'string' && /^[\w.-]{1,64}$/.test(type) ? type : undefined;
}

export const listAllHeads = operation({
  method: 'GET',
  path: '/admin/heads',
  scope: 'admin',
  summary: 'Lists the heads.',
  answer: v.object({ object: v.literal('list'), data: v.array(answer) }),
  async handle(call) {
    const { heads } = registryOf(call);
    heads.forget();
    return Response.json({ object: 'list', data: (await heads.list()).map(shown) });
  },
});

async function rowOf(call: Call<unknown, unknown>): Promise<HeadRow> {
  const row = await registryOf(call).heads.findNow(nameOf(call));
  if (!row) throw new GatewayError('not_found', 'There is no head of this name.', { param: 'name' });
  return row;
}

export const getOneHead = operation({
  method: 'GET',
  path: '/admin/heads/{name}',
  scope: 'admin',
  summary: 'Gives the JSON of a head, as it was put.',
  answer: head,
  async handle(call) {
    const { name: own, digest } = await rowOf(call);
    const object = await call.host.blobs.get(headKey(own, digest));
    if (!object) throw new GatewayError('not_found', 'The JSON of this head is gone; put it again.');
    return new Response(object.body, { headers: { 'content-type': 'application/json' } });
  },
});

export const deleteOneHead = operation({
  method: 'DELETE',
  path: '/admin/heads/{name}',
  scope: 'admin',
  summary: 'Deletes a head.',
  answer: v.object({ object: v.literal('head'), name: v.string(), deleted: v.literal(true) }),
  async handle(call) {
    const { host } = call;
    const own = nameOf(call);
    const row = await deleteHead(host.sql, own);
    if (!row) throw new GatewayError('not_found', 'There is no head of this name.', { param: 'name' });
    registryOf(call).forgetHead(own);
    await host.blobs.delete([headKey(own, row.digest)]);
    return Response.json({ object: 'head', name: own, deleted: true });
  },
});
