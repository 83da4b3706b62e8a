/** Batches of OpenAI's kind: many requests in one file, answered within a day. */
import * as v from 'valibot';
import type { Host } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { report } from '../http/log.ts';
import { limit, pageWithIds, pageWithIdsOf } from '../http/page.ts';
import { batchedPaths, snapshotOf } from '../jobs/caller.ts';
import { newId } from '../jobs/ids.ts';
import { WINDOW_MS } from '../jobs/limits.ts';
import { operation } from '../operation.ts';
import { fields, noList, stored } from '../schemas.ts';
import {
  type BatchRow,
  batchAnswer,
  batchOf,
  batchOnce,
  createBatch,
  listBatches,
  startCancel,
} from '../tables/batches.ts';
import { fileOf, takeFile } from '../tables/files.ts';

const time = v.nullable(v.number());

const batch = v.object({
  id: v.string(),
  object: v.literal('batch'),
  endpoint: v.string(),
  /** The faults of the file as a whole, where the batch has failed. */
  errors: v.nullable(
    v.object({
      object: v.literal('list'),
      data: v.array(
        v.object({
          code: v.string(),
          message: v.string(),
          line: v.nullable(v.number()),
          param: v.nullable(v.string()),
        }),
      ),
    }),
  ),
  input_file_id: v.string(),
  completion_window: v.literal('24h'),
  status: v.picklist([
    'validating',
    'failed',
    'in_progress',
    'finalizing',
    'completed',
    'expired',
    'cancelling',
    'cancelled',
  ]),
  output_file_id: v.nullable(v.string()),
  error_file_id: v.nullable(v.string()),
  /** Seconds since 1970, here and below. */
  created_at: v.number(),
  in_progress_at: time,
  expires_at: time,
  finalizing_at: time,
  completed_at: time,
  failed_at: time,
  expired_at: time,
  cancelling_at: time,
  cancelled_at: time,
  request_counts: v.object({ total: v.number(), completed: v.number(), failed: v.number() }),
  metadata: v.nullable(v.record(v.string(), v.string())),
});

const metadata = v.pipe(
  noList(
    v.record(
      v.pipe(stored, v.maxLength(64, 'names of at most 64 characters')),
      v.pipe(stored, v.maxLength(512, 'at most 512 characters')),
      'an object of strings',
    ),
  ),
  v.check((pairs) => Object.keys(pairs).length <= 16, 'at most 16 pairs'),
);

const order = fields({
  input_file_id: stored,
  endpoint: v.string('a path'),
  completion_window: v.literal('24h', '"24h"'),
  metadata: v.optional(v.nullable(metadata)),
});

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

export const createBatchOperation = operation({
  method: 'POST',
  path: '/v1/batches',
  scope: 'batches',
  summary:
    'Starts a batch of the requests in a file; with the header "idempotency-key" once, however often it is sent.',
  body: order,
  answer: batch,
  async handle({ host, key, body, headers }) {
    const paths = batchedPaths();
    if (!paths.includes(body.endpoint)) {
      throw new GatewayError('invalid_request', `endpoint: expected one of ${paths.join(', ')}`, { param: 'endpoint' });
    }
    const idempotencyKey = headers.get('idempotency-key');
    if (idempotencyKey !== null && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
      throw new GatewayError('invalid_request', 'idempotency-key: expected 1 to 255 characters without spaces', {
        param: 'idempotency-key',
      });
    }
    // A batch that this key has made is the answer also where its file is gone since.
    const before = idempotencyKey === null ? undefined : await batchOnce(host.sql, key.owner, idempotencyKey);
    if (before) return repeated(host, before, body);
    const file = await fileOf(host.sql, key.owner, body.input_file_id, 'input_file_id');
    if (file.purpose !== 'batch') {
      throw new GatewayError('invalid_request', 'input_file_id: expected a file with the purpose "batch"', {
        param: 'input_file_id',
      });
    }
    const now = Date.now();
    const expires_at = now + WINDOW_MS;
    await takeFile(host.sql, key.owner, file.id, expires_at, 'input_file_id');
    const { row, made } = await createBatch(host.sql, {
      id: newId('batch_', now),
      owner: key.owner,
      key_id: key.id,
      caller: snapshotOf(key),
      idempotency_key: idempotencyKey,
      endpoint: body.endpoint,
      input_file: file.id,
      metadata: body.metadata ? JSON.stringify(body.metadata) : null,
      created_at: now,
      expires_at,
    });
    if (!made) return repeated(host, row, body);
    // The cron job sends this message again if it is lost. The batch is made: a client that was told of an error would make another.
    await host.queue
      .send([{ topic: 'batch.split', body: { batch: row.id } }])
      .catch((error) => report(host.settings, 'a batch starts by the cron job', error));
    return Response.json(batchAnswer(row));
  },
});

/**
 * The answer to an order that was sent before.
 * @throws {GatewayError} `conflict` where it was another order
 */
async function repeated(host: Host, row: BatchRow, body: v.InferOutput<typeof order>): Promise<Response> {
  const sorted = (metadata: object | null | undefined) => JSON.stringify(Object.entries(metadata ?? {}).sort());
  const before = row.metadata === null ? null : JSON.parse(row.metadata);
  if (
    row.endpoint !== body.endpoint ||
    row.input_file !== body.input_file_id ||
    sorted(before) !== sorted(body.metadata)
  ) {
    throw new GatewayError('conflict', 'idempotency-key: expected another, as this one has made another batch', {
      param: 'idempotency-key',
      headers: { 'x-should-retry': 'false' },
    });
  }
  return Response.json(batchAnswer(await batchOf(host.sql, row.owner, row.id)));
}

export const getBatch = operation({
  method: 'GET',
  path: '/v1/batches/{id}',
  scope: 'batches',
  summary: 'Tells how far a batch is.',
  answer: batch,
  async handle({ host, key, params }) {
    return Response.json(batchAnswer(await batchOf(host.sql, key.owner, params.id ?? '')));
  },
});

export const listOfBatches = operation({
  method: 'GET',
  path: '/v1/batches',
  scope: 'batches',
  summary: 'Lists the batches of this owner, the newest first.',
  query: fields({ limit, after: v.optional(stored) }),
  answer: pageWithIds(batch),
  async handle({ host, key, query }) {
    const rows = await listBatches(host.sql, key.owner, { ...query, order: 'desc' });
    return Response.json(pageWithIdsOf(rows, query.limit, batchAnswer));
  },
});

export const cancelBatch = operation({
  method: 'POST',
  path: '/v1/batches/{id}/cancel',
  scope: 'batches',
  summary: 'Cancels a batch; what is done by then is in its files.',
  answer: batch,
  async handle({ host, key, params }) {
    const id = params.id ?? '';
    const cancelled = await startCancel(host.sql, key.owner, id, Date.now());
    if (cancelled) await host.queue.send([{ topic: 'batch.finish', body: { batch: id } }]);
    const row = await batchOf(host.sql, key.owner, id);
    if (!cancelled && row.ended_at !== null && row.state !== 'cancelled') {
      throw new GatewayError('conflict', `A batch that is ${row.state} cannot be cancelled.`, {
        headers: { 'x-should-retry': 'false' },
      });
    }
    return Response.json(batchAnswer(row));
  },
});
