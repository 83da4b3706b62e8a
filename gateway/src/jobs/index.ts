/**
 * Builds a `VectorIndex` from a file, in steps that each fit one delivery of a message. A step keeps what it has done as an object that is
 * named by the byte where the next one begins, so a step that is done twice gives the same object twice.
 */
import { PilotlightError, VectorIndex } from 'pilotlight';
import { joined, readAll } from '../bytes.ts';
import type { Host, StoredBlob } from '../host.ts';
import { blobOf } from '../tables/files.ts';
import { deferBuild, endBuild, failBuild, findIndex, type IndexRow, type Source, stepBlob } from '../tables/indexes.ts';
import { deleteAll } from './finish.ts';
import { newId, timeOf } from './ids.ts';
import { CHUNK_ITEMS, embedItems } from './index-embed.ts';
import { BadItem, type Item, readItems } from './index-items.ts';
import { MAX_INDEX_LINE, maxIndexBytes, STEP_BYTES, STEP_TOKENS, WINDOW_MS } from './limits.ts';
import { isBlank, readLines } from './lines.ts';
import type { Stop } from './stop.ts';

/** The bytes of lines that are embedded and added together. */
const CHUNK_BYTES = 4_194_304;

export interface BuildMessage {
  owner: string;
  name: string;
  build: string;
  /** The time that the build waited for when the message was sent: others are void. */
  at: number;
  offset: number;
  tries: number;
}

/** The state of a build between two steps. */
interface Progress {
  index: VectorIndex | undefined;
  model: string;
  offset: number;
  line: number;
}

/** Does one step of a build, and sends the message of the next one or ends the build. */
export async function buildIndex(host: Host, message: BuildMessage, signal: AbortSignal): Promise<void> {
  const row = await findBuild(host, message);
  if (!row) return;
  const source = JSON.parse(row.source) as Source;
  const progress = await open(host, source, message.offset);
  try {
    const stop = await step(host, source, progress, message.tries, signal);
    if (stop) await goOn(host, row, message, progress, stop);
    else await end(host, row, source, progress);
  } catch (error) {
    const words = wordsOf(error);
    if (words === undefined) throw error;
    await giveUp(host, row, words);
  } finally {
    progress.index?.dispose();
  }
}

/** Ends a build that failed at all tries. */
export async function buryBuild(host: Host, message: BuildMessage): Promise<void> {
  const row = await findBuild(host, message);
  if (row) await giveUp(host, row, 'the index could not be built: every try failed');
}

/** Goes on with a build where its last step ended, unless it has taken too long. */
export async function resumeBuild(host: Host, row: IndexRow, now: number): Promise<void> {
  const { build } = JSON.parse(row.source) as Source;
  if (now - (timeOf(build, BUILD) ?? 0) > WINDOW_MS) return giveUp(host, row, 'the index was not built within a day');
  const at = await deferBuild(host.sql, row, now);
  if (at === undefined) return;
  const prefix = stepPrefix(build);
  const { objects } = await host.blobs.list(prefix);
  const offset = Number(objects.at(-1)?.key.slice(prefix.length) ?? 0);
  await sendBuild(host, { owner: row.owner, name: row.name, build, at, offset, tries: 1 });
}

/** The start of the names of builds. */
export const BUILD = 'build-';

const stepPrefix = (build: string): string => `indexes/${build}.`;

export async function sendBuild(host: Host, message: BuildMessage, delaySeconds = 0): Promise<void> {
  await host.queue.send([{ topic: 'index.build', body: { ...message }, delaySeconds }]);
}

/** The index that a message is about; undefined where the message is void. */
async function findBuild(host: Host, { owner, name, build, at }: BuildMessage): Promise<IndexRow | undefined> {
  const row = await findIndex(host.sql, owner, name);
  const valid =
    row?.state === 'building' && row.changed_at === at && (JSON.parse(row.source) as Source).build === build;
  return valid ? row : undefined;
}

async function giveUp(host: Host, row: IndexRow, words: string): Promise<void> {
  await failBuild(host.sql, row, words, Date.now());
  await deleteAll(host.blobs, stepPrefix((JSON.parse(row.source) as Source).build));
}

/** Opens the state that the step before has left. */
async function open(host: Host, { build, model = '' }: Source, offset: number): Promise<Progress> {
  if (offset === 0) return { index: undefined, model, offset, line: 1 };
  const blob = await host.blobs.get(stepBlob(build, offset));
  if (!blob) throw new Error(`the step ${offset} of ${build} is gone`);
  const bytes = await readAll(blob.body);
  const head = bytes.indexOf(10);
  const { line, model: found } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, head)));
  return { index: await VectorIndex.fromBytes(bytes.subarray(head + 1)), model: found, offset, line };
}

/** Adds items until the file ends or the limits of a step are reached. */
async function step(
  host: Host,
  source: Source,
  progress: Progress,
  tries: number,
  signal: AbortSignal,
): Promise<Stop | undefined> {
  const file = await rest(host, source, progress.offset);
  const most = progress.offset + STEP_BYTES;
  let tokens = 0;
  let chunk: Item[] = [];
  let begin = progress.offset;
  let end = progress.offset;
  let line = progress.line;
  const flush = async (): Promise<Stop | undefined> => {
    const embedded = await embedItems(host, source, chunk, tries, signal);
    if (embedded.stop) return embedded.stop;
    tokens += embedded.tokens;
    await add(host, source, progress, chunk);
    chunk = [];
    begin = end;
    Object.assign(progress, { offset: end, line });
    // A try counts for the texts that it failed at.
    tries = 1;
    return signal.aborted || tokens >= STEP_TOKENS || end >= most ? { delaySeconds: 0, tries: 1 } : undefined;
  };
  for await (const read of readLines(file, { max: MAX_INDEX_LINE, offset: progress.offset, number: progress.line })) {
    if (!isBlank(read.bytes)) chunk.push(...readItems(read.bytes, source.kind, read.number));
    end = read.end;
    line = read.number + 1;
    if (chunk.length >= CHUNK_ITEMS || end - begin >= CHUNK_BYTES) {
      const stop = await flush();
      if (stop) return stop;
    }
  }
  const stop = chunk.length > 0 ? await flush() : undefined;
  // The file is at its end, so the limits of a step do not matter any more.
  return progress.offset === end && chunk.length === 0 ? undefined : stop;
}

async function rest(host: Host, source: Source, offset: number): Promise<ReadableStream<Uint8Array>> {
  const key = blobOf(source.file);
  const whole: StoredBlob | undefined = await host.blobs.get(key, { offset, length: 2 ** 31 });
  if (!whole) throw new BadItem(`the file ${source.file} is gone`);
  return whole.body;
}

async function add(host: Host, source: Source, progress: Progress, items: readonly Item[]): Promise<void> {
  for (const { id, vector, tags, model } of items) {
    if (!vector) continue;
    if (model !== undefined && progress.model === '') progress.model = model;
    if (model !== undefined && progress.model !== model) {
      throw new BadItem(`${JSON.stringify(id)}: expected a vector of ${progress.model}, not of ${model}`);
    }
    progress.index ??= await VectorIndex.create({
      dimensions: vector.length,
      precision: source.precision,
      metric: source.metric,
      prefilter: source.prefilter,
      source: await sourceOf(host, progress.model),
    });
    progress.index.add([id], vector, { tags });
  }
  const most = maxIndexBytes(host.settings);
  if (progress.index && progress.index.memoryBytes > most) {
    throw new BadItem(`the index takes more than ${most / 1_048_576} MiB of memory`);
  }
}

/** Identifies the weights that made vectors: those of others cannot be compared with them. Empty where they are not known. */
export async function sourceOf(host: Host, model: string): Promise<string> {
  const info = (await host.models.list()).find(({ id }) => id === model);
  return info ? `${model}@${info.digest}` : '';
}

async function goOn(host: Host, row: IndexRow, message: BuildMessage, progress: Progress, stop: Stop): Promise<void> {
  const { build } = message;
  const { index, model, offset, line } = progress;
  const further = index !== undefined && offset > message.offset;
  if (further) {
    const head = new TextEncoder().encode(`${JSON.stringify({ line, model })}\n`);
    const bytes = index.toBytes();
    await host.blobs.put(stepBlob(build, offset), joined([head, bytes], head.length + bytes.length));
  }
  const at = await deferBuild(host.sql, row, Date.now() + stop.delaySeconds * 1000);
  if (at === undefined) return;
  await sendBuild(host, { ...message, at, offset, tries: stop.tries }, stop.delaySeconds);
  if (further && message.offset > 0) await host.blobs.delete([stepBlob(build, message.offset)]);
}

async function end(host: Host, row: IndexRow, { build }: Source, { index, model }: Progress): Promise<void> {
  if (!index) throw new BadItem('the file has no items');
  const object = `indexes/${newId('ix-')}`;
  const put = await host.blobs.put(object, index.toBytes());
  const built = { model, dimensions: index.dimensions, object, etag: put?.etag ?? '', items: index.size };
  const taken = await endBuild(host.sql, row, built, Date.now());
  await host.blobs.delete([taken ? (row.object ?? '') : object].filter(Boolean));
  await deleteAll(host.blobs, stepPrefix(build));
}

/** The message for the owner about an error in the file; undefined for any other error. */
function wordsOf(error: unknown): string | undefined {
  if (error instanceof BadItem || (error instanceof Error && error.name === 'LineTooLong')) return error.message;
  if (!(error instanceof PilotlightError)) return undefined;
  return ['INVALID_INPUT', 'RESOURCE_LIMIT'].includes(error.code) ? error.message : undefined;
}
