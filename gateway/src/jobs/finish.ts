/** Ends a batch: the answers of its parts, one after the other, become a file of answers and a file of errors. */
import { pagesOf } from '../blobs.ts';
import { streamFrom } from '../bytes.ts';
import type { Blobs, Host, Statement } from '../host.ts';
import { cancelParts, mergeParts, type PartRow, partsOf, runBlob } from '../tables/batch-parts.ts';
import { type BatchRow, batchById, type Ending, endBatch } from '../tables/batches.ts';
import { blobOf, insertFile } from '../tables/files.ts';
import { DAY_MS } from '../time.ts';
import { newId } from './ids.ts';
import { sendNext } from './split.ts';

/** A range of an object. */
interface Piece {
  key: string;
  offset: number;
  length: number;
}

/** The most parts whose answers one delivery reads, and the number that are merged where there are more. Workers may ask R2 10,000 times. */
const LIMITS = { most: 2_000, merged: 1_000 };
/** The start of the names of runs that are several parts in one. */
const MERGED = 'merged-';

/** Ends a batch of which no part is worked on any more. */
export async function finish(host: Host, id: string, limits = LIMITS): Promise<void> {
  const batch = await batchById(host.sql, id);
  if (!batch || !isEnding(batch)) return;
  if (batch.state === 'cancelling') await cancelParts(host.sql, id);
  const waiting = await partsOf(host.sql, id, 'waiting');
  if (waiting.length > 0) return sendNext(host, batch.owner);
  const parts = await partsOf(host.sql, id, 'done');
  if (parts.length > limits.most) return merge(host, parts, limits.merged);
  const output = await write(host, batch, 'output', outPieces(parts));
  const error = await write(host, batch, 'error', errPieces(parts));
  const sum = (field: 'completed' | 'failed') => parts.reduce((total, part) => total + part[field], 0);
  const now = Date.now();
  await host.sql.batch([
    ...output.statements,
    ...error.statements,
    ...endBatch(batch, {
      output: output.id,
      error: error.id,
      completed: sum('completed'),
      failed: sum('failed'),
      now,
    }),
  ]);
  await deleteAll(host.blobs, `batches/${id}/`);
  // The parts of a cancelled batch have left their places to those of the owner's other batches.
  await sendNext(host, batch.owner);
}

/** Merges the first parts that are not merged yet into one, and sends the message that goes on. */
async function merge(host: Host, parts: readonly PartRow[], count: number): Promise<void> {
  const start = parts.findIndex(({ run }) => !run?.startsWith(MERGED));
  const some = parts.slice(start, start + count);
  const [first] = some;
  if (!first) throw new Error(`the batch has ${parts.length} parts that are merged already`);
  const run = newId(MERGED);
  const blob = runBlob(first.batch_id, first.part, run);
  const pieces = [...outPieces(some), ...errPieces(some)].filter(({ length }) => length > 0);
  const size = pieces.reduce((total, { length }) => total + length, 0);
  await host.blobs.put(blob, streamFrom(concatenated(host.blobs, pieces)), { size });
  const taken = await mergeParts(host.sql, some, run);
  await host.blobs.delete(taken ? some.map(keyOf) : [blob]);
  if (taken) await host.queue.send([{ topic: 'batch.finish', body: { batch: first.batch_id } }]);
}

function isEnding(batch: BatchRow): batch is BatchRow & { state: Ending } {
  if (batch.state === 'expiring') return batch.finalizing_at !== null;
  return batch.state === 'finalizing' || batch.state === 'cancelling';
}

function outPieces(parts: readonly PartRow[]): Piece[] {
  return parts.map((part) => ({ key: keyOf(part), offset: 0, length: part.out_bytes }));
}

function errPieces(parts: readonly PartRow[]): Piece[] {
  return parts.map((part) => ({ key: keyOf(part), offset: part.out_bytes, length: part.err_bytes }));
}

const keyOf = (part: PartRow): string => runBlob(part.batch_id, part.part, part.run ?? '');

/** Writes one of the files of a batch, which has the same name however often that is done; none where it would be empty. */
async function write(
  host: Host,
  batch: BatchRow,
  kind: 'output' | 'error',
  pieces: readonly Piece[],
): Promise<{ id: string | null; statements: Statement[] }> {
  const filled = pieces.filter(({ length }) => length > 0);
  const size = filled.reduce((total, { length }) => total + length, 0);
  if (size === 0) return { id: null, statements: [] };
  const id = `${batch.id.replace('batch_', 'file-')}-${kind}`;
  await host.blobs.put(blobOf(id), streamFrom(concatenated(host.blobs, filled)), { size });
  const now = Date.now();
  const statement = insertFile({
    id,
    owner: batch.owner,
    filename: `${batch.id}_${kind}.jsonl`,
    purpose: 'batch_output',
    bytes: size,
    created_at: now,
    expires_at: now + host.settings.FILES_DAYS * DAY_MS,
  });
  return { id, statements: [statement] };
}

/** The bytes of pieces one after the other; each object is opened when the one before is at its end. */
async function* concatenated(blobs: Blobs, pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const { key, offset, length } of pieces) {
    const blob = await blobs.get(key, { offset, length });
    if (!blob) throw new Error(`the answers ${key} are gone`);
    yield* blob.body as unknown as AsyncIterable<Uint8Array>;
  }
}

/** Deletes all objects whose names start with a prefix. */
export async function deleteAll(blobs: Blobs, prefix: string): Promise<void> {
  for await (const objects of pagesOf(blobs, prefix)) {
    if (objects.length > 0) await blobs.delete(objects.map(({ key }) => key));
  }
}
