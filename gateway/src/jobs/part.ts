/** Answers the lines of one part of a batch. */
import { joined } from '../bytes.ts';
import type { Host, StoredBlob } from '../host.ts';
import { GatewayError } from '../http/errors.ts';
import { answerLine } from '../invoke.ts';
import { deferPart, type PartRow, partOf, type Run, runBlob, saveRun } from '../tables/batch-parts.ts';
import { type BatchRow, batchById, startFinish } from '../tables/batches.ts';
import { blobOf } from '../tables/files.ts';
import { callerOf } from './caller.ts';
import { newId } from './ids.ts';
import { MAX_LINE, RUN_BYTES, RUN_TOKENS } from './limits.ts';
import { isBlank, readLines } from './lines.ts';
import { readRequest } from './request-line.ts';
import { sendNext, sendParts } from './split.ts';
import { type Given, type Stop, stopFor } from './stop.ts';

/** The reason for an error in place of an answer of the line's endpoint. */
interface Unanswered {
  code: 'batch_expired' | 'batch_part_failed';
  message: string;
}

const EXPIRED: Unanswered = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
};
const FAILED: Unanswered = {
  code: 'batch_part_failed',
  message: 'This request was given up: the part of the batch that it is in failed at every try.',
};

/** The body of a part's message. */
export interface PartMessage {
  batch: string;
  part: number;
  /** The time that the part waited for when the message was sent: others are void. */
  at: number;
  tries: number;
}

/** Answers a part, or as many of its lines as one delivery can. A part that is done, or whose batch has ended, is left alone. */
export async function answerPart(host: Host, message: PartMessage, signal: AbortSignal): Promise<void> {
  const batch = await batchById(host.sql, message.batch);
  if (batch?.state === 'expiring') return giveUp(host, batch, message, EXPIRED);
  if (batch?.state !== 'in_progress') return;
  const part = await partOf(host.sql, batch.id, message.part);
  if (part?.state === 'waiting' && part.changed_at === message.at)
    await answer(host, batch, part, message.tries, signal);
  // Also where the part was done before: the delivery that did it may have ended before it came to this.
  await goOn(host, batch);
}

/** Writes an error for each line of a part that failed at every try. */
export async function buryPart(host: Host, message: PartMessage): Promise<void> {
  const batch = await batchById(host.sql, message.batch);
  if (batch?.state === 'in_progress') await giveUp(host, batch, message, FAILED);
  if (batch?.state === 'expiring') await giveUp(host, batch, message, EXPIRED);
}

/** Sends the messages of what comes after a part: the next ones of the owner, or the batch's end. */
async function goOn(host: Host, { id, owner }: BatchRow): Promise<void> {
  await sendNext(host, owner);
  await finishIfDone(host, id);
}

/** Sends the message that ends a batch, once none of its parts waits. */
export async function finishIfDone(host: Host, id: string): Promise<void> {
  if (await startFinish(host.sql, id, Date.now())) {
    await host.queue.send([{ topic: 'batch.finish', body: { batch: id } }]);
  }
}

async function answer(host: Host, batch: BatchRow, part: PartRow, tries: number, signal: AbortSignal): Promise<void> {
  const key = await callerOf(host, batch.key_id, batch.caller);
  const answers = new Answers(batch.id, part);
  let stop: Stop | undefined;
  /** Of the next line: one that comes after an answer has not been tried before. */
  let attempt = tries;
  const lines = await linesOf(host, batch, part);
  if (!lines) throw new Error(`the file of ${batch.id} is gone`);
  for await (const line of lines) {
    if (signal.aborted) stop = { delaySeconds: 0, tries: attempt };
    else if (answers.tokens >= RUN_TOKENS || answers.bytes >= RUN_BYTES) stop = { delaySeconds: 0, tries: 1 };
    if (stop) break;
    const request = readRequest(line.bytes, batch.endpoint);
    if ('error' in request) {
      answers.add(request.customId, { status: request.error.status, body: request.error.toJSON() }, line);
      continue;
    }
    const given: Given = key
      ? await answerLine(host, key, batch.endpoint, request.body, signal)
      : { status: 401, body: new GatewayError('invalid_api_key', 'The key of the batch is no longer valid.').toJSON() };
    stop = stopFor(given, attempt, signal);
    if (stop) break;
    answers.add(request.customId, given, line);
    if (given.status < 500) attempt = 1;
  }
  if (!stop && answers.lines < part.lines) throw new Error(`the file of ${batch.id} has lost lines`);
  await settle(host, part, answers, stop);
}

/** Writes an error for each line of a part that is not done. */
async function giveUp(host: Host, batch: BatchRow, message: PartMessage, why: Unanswered): Promise<void> {
  const part = await partOf(host.sql, batch.id, message.part);
  if (part?.state === 'waiting' && part.changed_at === message.at) {
    const answers = new Answers(batch.id, part);
    // A lost file has taken the ids of its lines with it. They are counted nevertheless, or the batch would have no end.
    const lines = (await linesOf(host, batch, part)) ?? unreadLines(part);
    for await (const line of lines) {
      answers.addUnanswered(readRequest(line.bytes, batch.endpoint).customId, why, line);
    }
    await settle(host, part, answers, undefined, 'failed');
  }
  await goOn(host, batch);
}

/** Keeps the answers of a run, and sends a message for the lines that it has not answered. */
async function settle(
  host: Host,
  part: PartRow,
  answers: Answers,
  stop: Stop | undefined,
  state = stop ? 'cut' : 'done',
): Promise<void> {
  const now = Date.now();
  const next = now + (stop?.delaySeconds ?? 0) * 1000;
  if (answers.lines === 0) {
    const deferred = stop && (await deferPart(host.sql, part, next));
    if (deferred) await sendParts(host, [deferred], stop);
    return;
  }
  const run = answers.run();
  const blob = runBlob(part.batch_id, part.part, run.run);
  await host.blobs.put(blob, answers.toBytes());
  if (!(await saveRun(host.sql, part, run, now, next))) {
    // Another delivery was faster, or the batch was cancelled: its answers count, and these do not.
    await host.blobs.delete([blob]);
    return;
  }
  host.events.observe('batch_parts', 1, { state });
  if (stop) await sendParts(host, [{ batch_id: part.batch_id, part: part.part + run.lines, changed_at: next }], stop);
}

interface PlacedLine {
  bytes: Uint8Array;
  end: number;
  number: number;
}

/** The lines of a part; undefined where the file is gone. */
async function linesOf(host: Host, batch: BatchRow, part: PartRow): Promise<AsyncGenerator<PlacedLine> | undefined> {
  const range = { offset: part.start_at, length: part.length };
  const file = await host.blobs.get(blobOf(batch.input_file), range);
  return file && filledLines(file, part);
}

async function* filledLines({ body }: StoredBlob, part: PartRow): AsyncGenerator<PlacedLine> {
  for await (const line of readLines(body, { max: MAX_LINE, offset: part.start_at, number: part.first_line })) {
    if (!isBlank(line.bytes)) yield line;
  }
}

/** As many lines as a part has, with nothing in them. */
function unreadLines(part: PartRow): PlacedLine[] {
  const end = part.start_at + part.length;
  return Array.from({ length: part.lines }, (_, at) => ({
    bytes: new Uint8Array(),
    end,
    number: part.first_line + at,
  }));
}

/** The answers of a run so far, as lines of JSON. */
class Answers {
  readonly #batch: string;
  readonly #part: PartRow;
  readonly #out: Uint8Array[] = [];
  readonly #err: Uint8Array[] = [];
  readonly #run = newId('');
  #outBytes = 0;
  #errBytes = 0;
  #end = 0;
  #nextLine = 0;
  tokens = 0;

  constructor(batch: string, part: PartRow) {
    this.#batch = batch;
    this.#part = part;
  }

  get lines(): number {
    return this.#out.length + this.#err.length;
  }

  get bytes(): number {
    return this.#outBytes + this.#errBytes;
  }

  add(customId: string | null, { status, body }: Given, line: PlacedLine): void {
    const ok = status >= 200 && status < 300;
    const usage = (body as { usage?: { total_tokens?: unknown } } | null)?.usage?.total_tokens;
    if (typeof usage === 'number') this.tokens += usage;
    const id = this.#id();
    this.#push(
      ok,
      { id, custom_id: customId, response: { status_code: status, request_id: id, body }, error: null },
      line,
    );
  }

  addUnanswered(customId: string | null, error: Unanswered, line: PlacedLine): void {
    this.#push(false, { id: this.#id(), custom_id: customId, response: null, error }, line);
  }

  run(): Run {
    return {
      run: this.#run,
      lines: this.lines,
      length: this.#end - this.#part.start_at,
      nextLine: this.#nextLine,
      outBytes: this.#outBytes,
      errBytes: this.#errBytes,
      completed: this.#out.length,
      failed: this.#err.length,
    };
  }

  toBytes(): Uint8Array {
    return joined([...this.#out, ...this.#err], this.bytes);
  }

  /** Names a request by its batch and its place, so that it has one name in all runs. */
  #id(): string {
    return `${this.#batch.replace('batch_', 'batch_req_')}_${this.#part.part + this.lines}`;
  }

  #push(ok: boolean, answer: object, line: PlacedLine): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(answer)}\n`);
    if (ok) {
      this.#out.push(bytes);
      this.#outBytes += bytes.length;
    } else {
      this.#err.push(bytes);
      this.#errBytes += bytes.length;
    }
    this.#end = line.end;
    this.#nextLine = line.number + 1;
  }
}
