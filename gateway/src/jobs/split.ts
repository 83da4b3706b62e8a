/** Cuts the file of a batch into parts, as ranges of bytes: the file itself is not copied. */
import type { Host } from '../host.ts';
import { type PartRow, partsOf, takeParts } from '../tables/batch-parts.ts';
import { batchById, type FileError, failBatch, startBatch } from '../tables/batches.ts';
import { blobOf } from '../tables/files.ts';
import { MAX_FILE, MAX_LINE, MAX_LINES, OWNER_PARTS, PART_BYTES, PART_LINES } from './limits.ts';
import { isBlank, LineTooLong, readLines } from './lines.ts';
import { customIdIn } from './request-line.ts';

type Cut = Pick<PartRow, 'part' | 'start_at' | 'length' | 'first_line' | 'lines'>;

/** A fault of the file as a whole: none of its lines is answered. */
class BadFile extends Error {
  readonly fault: FileError;

  constructor(code: string, message: string, line: number | null = null, param: string | null = null) {
    super(message);
    this.fault = { code, message, line, param };
  }
}

/** Starts a batch. An `attempt` after the first sends the messages of parts again, which the one before may not have come to. */
export async function split(host: Host, id: string, attempt: number): Promise<void> {
  const batch = await batchById(host.sql, id);
  if (batch?.state === 'in_progress' && attempt > 1) {
    const waiting = await partsOf(host.sql, id, 'waiting');
    const now = Date.now();
    await sendParts(
      host,
      waiting.filter(({ changed_at: at }) => at > 0 && at <= now),
    );
    await sendNext(host, batch.owner);
  }
  if (batch?.state !== 'validating') return;
  let parts: Cut[];
  try {
    const file = await host.blobs.get(blobOf(batch.input_file));
    if (!file) throw new BadFile('invalid_input_file', `the file ${batch.input_file} is gone`);
    if (file.size > MAX_FILE) {
      await file.body.cancel();
      throw new BadFile('file_too_large', `the file has ${file.size} bytes: at most ${MAX_FILE}`);
    }
    parts = await cut(file.body);
  } catch (error) {
    const fault = faultOf(error);
    if (!fault) throw error;
    await failBatch(host.sql, id, [fault], Date.now());
    return;
  }
  if (await startBatch(host.sql, id, parts, Date.now())) await sendNext(host, batch.owner);
}

/** Ends a batch that could not be started at any try. */
export async function burySplit(host: Host, id: string): Promise<void> {
  const fault = { code: 'internal_error', message: 'the file could not be read', line: null, param: null };
  await failBatch(host.sql, id, [fault], Date.now());
}

/** Sends the messages of an owner's next parts, as far as those that have been sent are done. */
export async function sendNext(host: Host, owner: string): Promise<void> {
  await sendParts(host, await takeParts(host.sql, owner, OWNER_PARTS, Date.now()));
}

/** The columns of a part that its message names. */
export type Sent = Pick<PartRow, 'batch_id' | 'part' | 'changed_at'>;

/** Sends the messages of parts. */
export async function sendParts(
  host: Host,
  parts: readonly Sent[],
  { delaySeconds = 0, tries = 1 }: { delaySeconds?: number; tries?: number } = {},
): Promise<void> {
  await host.queue.send(
    parts.map(({ batch_id, part, changed_at }) => ({
      topic: 'batch.part' as const,
      body: { batch: batch_id, part, at: changed_at, tries },
      delaySeconds,
    })),
  );
}

/**
 * Cuts whole lines into parts.
 * @throws {BadFile} without requests, with too many, or with one `custom_id` twice: its answers could not be told apart
 */
async function cut(body: ReadableStream<Uint8Array>): Promise<Cut[]> {
  const parts: Cut[] = [];
  const lineOf = new Map<string, number>();
  let requests = 0;
  let part: Cut | undefined;
  for await (const line of readLines(body, { max: MAX_LINE })) {
    if (isBlank(line.bytes)) continue;
    if (requests === MAX_LINES) throw new BadFile('too_many_requests', `more than ${MAX_LINES} requests`, line.number);
    // A line that is not JSON has its answer when its part is worked on.
    const customId = customIdIn(line.bytes);
    if (customId !== null) {
      const first = lineOf.get(customId);
      if (first !== undefined) {
        const message = `custom_id: expected another in each line; ${JSON.stringify(customId)} is in line ${first} too`;
        throw new BadFile('duplicate_custom_id', message, line.number, 'custom_id');
      }
      lineOf.set(customId, line.number);
    }
    if (part && (part.lines === PART_LINES || line.end - part.start_at > PART_BYTES)) part = undefined;
    if (!part) {
      part = { part: requests, start_at: line.start, length: 0, first_line: line.number, lines: 0 };
      parts.push(part);
    }
    part.lines += 1;
    part.length = line.end - part.start_at;
    requests += 1;
  }
  if (requests === 0) throw new BadFile('empty_file', 'the file has no requests');
  return parts;
}

function faultOf(error: unknown): FileError | undefined {
  if (error instanceof BadFile) return error.fault;
  if (!(error instanceof LineTooLong)) return undefined;
  return { code: 'line_too_long', message: error.message, line: error.line, param: null };
}
