/** Indexes of vectors: built by a job from a batch or a file, and searched by a text, an image or a vector. */
import { PilotlightError, type SearchHit, VectorIndex } from 'pilotlight';
import * as v from 'valibot';
import { fromBase64 } from '../bytes.ts';
import type { Host } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { reservation } from '../http/limits.ts';
import { limit, page, pageOf } from '../http/page.ts';
import { snapshotOf } from '../jobs/caller.ts';
import { newId } from '../jobs/ids.ts';
import { BUILD, sendBuild, sourceOf } from '../jobs/index.ts';
import { vector } from '../jobs/index-items.ts';
import { WINDOW_MS } from '../jobs/limits.ts';
import { loadedIndexes } from '../jobs/loaded-indexes.ts';
import type { Key } from '../keys.ts';
import { ask, checkAllowed, need } from '../models/asking.ts';
import { ITEM_TOKENS } from '../models/model.ts';
import { type Call, operation } from '../operation.ts';
import { fields, name as modelName, stored, text, whole } from '../schemas.ts';
import { batchOf } from '../tables/batches.ts';
import { takeFile } from '../tables/files.ts';
import type { IndexRow } from '../tables/indexes.ts';
import {
  deleteIndex,
  indexAnswer,
  indexOf,
  listIndexes,
  replaceObject,
  type Source,
  startBuild,
} from '../tables/indexes.ts';
import { HOUR_MS } from '../time.ts';

/** The tries of a read or a write between which others change the index. */
const TRIES = 5;

const id = v.union([v.string(), v.number()], 'a string or a number');

const index = v.object({
  object: v.literal('index'),
  name: v.string(),
  /** The state of the last build. An index that was ready before answers queries throughout. */
  state: v.picklist(['building', 'ready', 'failed']),
  model: v.nullable(v.string()),
  query_model: v.nullable(v.string()),
  dimensions: v.nullable(v.number()),
  items: v.number(),
  etag: v.nullable(v.string()),
  job: v.string(),
  source: v.object({ file_id: v.optional(v.string()), batch_id: v.optional(v.string()) }),
  precision: v.string(),
  metric: v.string(),
  prefilter: v.boolean(),
  error: v.nullable(v.string()),
  /** Seconds since 1970. */
  created_at: v.number(),
  updated_at: v.number(),
});

const order = fields({
  batch_id: v.optional(stored),
  file_id: v.optional(stored),
  model: v.optional(modelName),
  query_model: v.optional(modelName),
  dimensions: v.optional(v.pipe(v.number('a number'), v.integer('a whole number'), v.minValue(1, 'at least 1'))),
  precision: v.optional(v.picklist(['float32', 'int8', 'binary'], 'float32, int8 or binary'), 'int8'),
  metric: v.optional(v.picklist(['cosine', 'dot'], 'cosine or dot'), 'cosine'),
  prefilter: v.optional(v.boolean('true or false'), false),
});

export const putIndex = operation({
  method: 'PUT',
  path: '/v1/indexes/{name}',
  scope: 'search',
  summary:
    'Builds an index, or builds it anew, from a batch that has ended or from a file of lines {"id", "vector" or "text", "tags"}.',
  body: order,
  answer: v.object({ job: v.string(), index }),
  status: 202,
  async handle({ host, key, params, body }) {
    const name = nameOf(params);
    if (body.metric === 'dot' && (body.precision === 'binary' || body.prefilter)) {
      throw new GatewayError('invalid_request', 'metric: expected cosine with binary vectors or a prefilter', {
        param: 'metric',
      });
    }
    const query = body.query_model;
    checkAllowed(key, query, 'query_model');
    const now = Date.now();
    const source: Source = {
      build: newId(BUILD, now),
      ...(await readFrom(host, key, body, now)),
      keyId: key.id,
      caller: snapshotOf(key),
      ...(body.model === undefined ? {} : { model: body.model }),
      ...(query === undefined ? {} : { queryModel: query }),
      ...(body.dimensions === undefined ? {} : { dimensions: body.dimensions }),
      precision: body.precision,
      metric: body.metric,
      prefilter: body.prefilter,
    };
    const row = await startBuild(host.sql, key.owner, name, source, now);
    // The cron job sends this message again if it is lost.
    await sendBuild(host, { owner: key.owner, name, build: source.build, at: row.changed_at, offset: 0, tries: 1 });
    return Response.json({ job: source.build, index: indexAnswer(row) }, { status: 202 });
  },
});

export const listOfIndexes = operation({
  method: 'GET',
  path: '/v1/indexes',
  scope: 'search',
  summary: 'Lists the indexes of this owner by their names.',
  query: fields({ limit, after: v.optional(stored, '') }),
  answer: page(index),
  async handle({ host, key, query }) {
    const rows = await listIndexes(host.sql, key.owner, query.limit, query.after);
    return Response.json(pageOf(rows, query.limit, indexAnswer));
  },
});

export const getIndex = operation({
  method: 'GET',
  path: '/v1/indexes/{name}',
  scope: 'search',
  summary: 'Tells of an index, and how its last build went.',
  answer: index,
  async handle({ host, key, params }) {
    return Response.json(indexAnswer(await indexOf(host.sql, key.owner, nameOf(params))));
  },
});

export const deleteIndexOperation = operation({
  method: 'DELETE',
  path: '/v1/indexes/{name}',
  scope: 'search',
  summary: 'Deletes an index.',
  answer: v.object({ object: v.literal('index'), name: v.string(), deleted: v.literal(true) }),
  async handle({ host, key, params }) {
    const name = nameOf(params);
    const row = await deleteIndex(host.sql, key.owner, name);
    if (!row) throw new GatewayError('not_found', `no such index: ${name}`);
    if (row.object !== null) {
      await host.blobs.delete([row.object]);
      loadedIndexes(host).drop(row);
    }
    return Response.json({ object: 'index', name, deleted: true });
  },
});

const filter = fields({
  tags: v.pipe(
    v.array(v.pipe(text, v.minLength(1, 'a tag')), 'a list of tags'),
    v.minLength(1, 'at least 1 tag'),
    v.maxLength(64, 'at most 64 tags'),
  ),
  match: v.optional(v.picklist(['all', 'any'], 'all or any'), 'all'),
});

const question = v.pipe(
  fields({
    input: v.optional(v.pipe(text, v.minLength(1, 'at least 1 character'))),
    vector: v.optional(vector),
    image: v.optional(
      v.pipe(text, v.regex(/^data:image\/[\w.+-]+;base64,[A-Za-z0-9+/]+={0,2}$/, 'a data URL of an image')),
    ),
    top_k: v.optional(whole(1, 100), 10),
    filter: v.optional(filter),
  }),
  v.check(
    ({ input, vector, image }) => [input, vector, image].filter((one) => one !== undefined).length === 1,
    'one of "input", "vector" and "image"',
  ),
);

export const queryIndex = operation({
  method: 'POST',
  path: '/v1/indexes/{name}/query',
  scope: 'search',
  summary: 'Finds the items that are nearest to a text, an image or a vector.',
  body: question,
  answer: v.object({
    hits: v.array(v.object({ id, score: v.number() })),
    index: v.object({ size: v.number(), etag: v.string() }),
    usage: v.object({ prompt_tokens: v.number(), total_tokens: v.number() }),
  }),
  maxBytes: 8_388_608,
  predicts: true,
  tokens: (body) => (body?.image === undefined ? reservation(body?.input?.length ?? 0) : ITEM_TOKENS),
  async handle(call) {
    const { host, key, params, body, event } = call;
    const name = nameOf(params);
    let row = readyIndex(await indexOf(host.sql, key.owner, name));
    const { vector, tokens } = await vectorOf(call, row);
    event.tokens = tokens;
    event.items = 1;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const weights = body.vector === undefined && row.model !== '' ? await sourceOf(host, row.model) : '';
      const { model } = row;
      const found = await loadedIndexes(host).with(row, (index) => {
        checkWeights(model, index, weights);
        return { hits: search(index, vector, body.top_k, body.filter), size: index.size };
      });
      if (found) {
        const { hits, size } = found.value;
        const usage = { prompt_tokens: tokens, total_tokens: tokens };
        return Response.json({ hits, index: { size, etag: row.etag }, usage });
      }
      // A build or a removal has put another object in its place.
      row = readyIndex(await indexOf(host.sql, key.owner, name));
    }
    throw new GatewayError('not_ready', 'The index is changing: try again.', { headers: { 'retry-after': '1' } });
  },
});

export const removeFromIndex = operation({
  method: 'POST',
  path: '/v1/indexes/{name}/remove',
  scope: 'search',
  summary: 'Removes items from an index; ids that it does not have are no error.',
  body: fields({
    ids: v.pipe(v.array(id, 'a list of ids'), v.minLength(1, 'at least 1 id'), v.maxLength(1_000, 'at most 1000 ids')),
  }),
  answer: v.object({ removed: v.number(), index: v.object({ size: v.number(), etag: v.string() }) }),
  async handle({ host, key, params, body }) {
    const name = nameOf(params);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const row = readyIndex(await indexOf(host.sql, key.owner, name));
      const blob = await host.blobs.get(row.object);
      const changed =
        blob && (await loadedIndexes(host).reading(blob, (bytes) => withoutItems(host, row, bytes, body.ids)));
      if (changed) return Response.json(changed);
    }
    throw new GatewayError('conflict', 'The index is changed by others: try again.');
  },
});

type Ready = IndexRow & { object: string; etag: string };

function readyIndex(row: IndexRow): Ready {
  if (row.object !== null) return row as Ready;
  const message =
    row.state === 'failed'
      ? `The index could not be built: ${row.error}`
      : 'The index is being built: ask again when its state is ready.';
  throw new GatewayError('conflict', message, { headers: { 'x-should-retry': 'false' } });
}

function nameOf({ name = '' }: Record<string, string>): string {
  if (/^[\w.-]{1,128}$/.test(name)) return name;
  throw new GatewayError('invalid_request', 'name: expected 1 to 128 letters, digits, ".", "_" and "-"', {
    param: 'name',
  });
}

/** The file that an index is built from. */
async function readFrom(
  host: Host,
  key: Key,
  { batch_id, file_id, model }: v.InferOutput<typeof order>,
  now: number,
): Promise<Pick<Source, 'file' | 'kind' | 'batch'>> {
  // A build that takes longer is given up; the cron job may notice an hour later.
  const until = now + WINDOW_MS + HOUR_MS;
  if (batch_id !== undefined && file_id === undefined) {
    if (model !== undefined) {
      throw new GatewayError('invalid_request', 'model: expected none, as the answers of a batch name it', {
        param: 'model',
      });
    }
    const batch = await batchOf(host.sql, key.owner, batch_id, 'batch_id');
    if (batch.ended_at === null || batch.output_file === null) {
      throw new GatewayError('invalid_request', 'batch_id: expected a batch that has ended, with answers', {
        param: 'batch_id',
      });
    }
    // The file may have been deleted since.
    const { id } = await takeFile(host.sql, key.owner, batch.output_file, until, 'batch_id');
    return { file: id, kind: 'answers', batch: batch_id };
  }
  if (file_id === undefined || batch_id !== undefined) {
    throw new GatewayError('invalid_request', 'the body: expected either "batch_id" or "file_id"');
  }
  return { file: (await takeFile(host.sql, key.owner, file_id, until, 'file_id')).id, kind: 'items' };
}

/** The vector that is asked for, and the tokens that it took. */
async function vectorOf(
  call: Call<v.InferOutput<typeof question>, unknown>,
  row: Ready,
): Promise<{ vector: Float32Array; tokens: number }> {
  const { key, body } = call;
  if (body.vector !== undefined) return { vector: body.vector, tokens: 0 };
  const source = JSON.parse(row.source) as Source;
  const name = body.image === undefined ? (source.queryModel ?? row.model) : row.model;
  if (name === '') {
    throw new GatewayError('invalid_request', 'vector: is missing; this index was built without a model', {
      param: 'vector',
    });
  }
  checkAllowed(key, name);
  const options = source.dimensions === undefined ? {} : { dimensions: source.dimensions };
  const { input, image } = body;
  const { data } =
    image === undefined
      ? await ask(call, { task: 'embed', model: name, field: 'input', texts: [input as string] }, (model, context) =>
          need(model, 'embed')([input as string], options, context),
        )
      : await ask(call, { task: 'embed-image', model: name, field: 'image', items: 1 }, (model, context) =>
          need(model, 'embedImages')([bytesOf(image)], options, context),
        );
  return { vector: data, tokens: call.event.tokens };
}

function bytesOf(dataUrl: string): Uint8Array {
  const bytes = fromBase64(dataUrl.slice(dataUrl.indexOf(',') + 1));
  if (bytes) return bytes;
  throw new GatewayError('invalid_request', 'image: expected base64 in the data URL', { param: 'image' });
}

/** Vectors of other weights than those that a model has now say nothing of its vectors. */
function checkWeights(model: string, index: VectorIndex, weights: string): void {
  if (weights === '' || !index.source || weights === index.source) return;
  throw new GatewayError('conflict', `The index was built by other weights of ${model}: build it anew.`, {
    headers: { 'x-should-retry': 'false' },
  });
}

function search(
  index: VectorIndex,
  vector: Float32Array,
  topK: number,
  filter: v.InferOutput<typeof question>['filter'],
): SearchHit[] {
  try {
    return index.search(vector, topK, filter ? { filter } : {});
  } catch (error) {
    if (!(error instanceof PilotlightError) || error.code !== 'INVALID_INPUT') throw error;
    throw new GatewayError('invalid_request', `vector: expected ${index.dimensions} numbers, not all of them 0`, {
      param: 'vector',
      cause: error,
    });
  }
}

/** Puts an index without some items in the place of one with them; undefined where another change was faster. */
async function withoutItems(
  host: Host,
  row: Ready,
  bytes: Uint8Array,
  ids: (string | number)[],
): Promise<object | undefined> {
  const index = await VectorIndex.fromBytes(bytes);
  try {
    const removed = index.remove(ids);
    if (removed === 0) return { removed, index: { size: index.size, etag: row.etag } };
    const object = `indexes/${newId('ix-')}`;
    const put = await host.blobs.put(object, index.toBytes());
    const etag = put?.etag ?? '';
    const taken = await replaceObject(host.sql, row, { object, etag, items: index.size }, Date.now());
    await host.blobs.delete([taken ? row.object : object]);
    loadedIndexes(host).drop(row);
    return taken ? { removed, index: { size: index.size, etag } } : undefined;
  } finally {
    index.dispose();
  }
}
