/**
 * The cron job, which runs every five minutes: it ends batches whose time is over, deletes rows and objects that are kept no longer, and sends
 * lost messages again. Each step may run twice or be cut off: the next run goes on.
 */
import { pagesOf } from './blobs.ts';
import type { Host, Row, SqlValue } from './host.ts';
import { report } from './http/log.ts';
import { deleteAll } from './jobs/finish.ts';
import { timeOf } from './jobs/ids.ts';
import { BUILD, resumeBuild } from './jobs/index.ts';
import { finishIfDone } from './jobs/part.ts';
import { sendNext, sendParts } from './jobs/split.ts';
import { staleParts } from './tables/batch-parts.ts';
import { type BatchRow, busyOwners } from './tables/batches.ts';
import { blobOf, deleteExpired } from './tables/files.ts';
import { type IndexRow, type Source, staleBuilds } from './tables/indexes.ts';
import { KEPT } from './tables/queue.ts';
import { DAY_MS, HOUR_MS } from './time.ts';

const MINUTE_MS = 60_000;
/** The rows that one statement deletes, and the statements of one run; the next run deletes the rest. */
const ROWS = 500;
const STATEMENTS = 20;
/** The days for which usage is kept by the hour; older rows are added up to days. */
const HOURLY_DAYS = 8;
/** The days for which dead letters are kept that could not be handled either. */
const DEAD_DAYS = 14;
/** The age from which on an object without a row is an orphan; the row of a younger one may follow. */
const ORPHAN_MS = 2 * HOUR_MS;
/** The parameters of one statement, of which D1 takes 100. */
const PARAMETERS = 90;

export interface RetentionOptions {
  now?: number;
  /** Milliseconds without progress after which work is taken for lost; default 30 minutes. */
  staleMs?: number;
  /** Whether this is the one run of the day that also looks for objects without rows; default the first run after 3:00 UTC. */
  daily?: boolean;
}

/** The number of things that each step has done, by the step's name; -1 for a step that failed. */
export type RetentionReport = Record<string, number>;

/** Runs all steps. A step that fails is written to the log, and the others run nevertheless. */
export async function retention(host: Host, options: RetentionOptions = {}): Promise<RetentionReport> {
  const { now = Date.now(), staleMs = 30 * MINUTE_MS } = options;
  const { daily = Math.floor(now / (5 * MINUTE_MS)) % 288 === 36 } = options;
  const stale = now - staleMs;
  const steps: Record<string, () => Promise<number>> = {
    expired_batches: () => expireBatches(host, now),
    resumed_splits: () => resumeSplits(host, stale),
    resumed_parts: () => resumeParts(host, stale),
    resumed_finishes: () => resumeFinishes(host, stale),
    resumed_builds: () => resumeBuilds(host, stale, now),
    predictions: () => deleteRows(host, 'predictions', 'id', 'expires_at < ?', [now]),
    usage: () => deleteUsage(host, now - host.settings.USAGE_DAYS * DAY_MS),
    files: () => deleteFiles(host, now),
    batches: () => deleteBatches(host, now - host.settings.FILES_DAYS * DAY_MS),
    old_secrets: () => forgetSecrets(host, now),
    keys: () => deleteKeys(host, now - host.settings.USAGE_DAYS * DAY_MS),
    dead_letters: () => deleteRows(host, 'queue', 'id', `dead = ${KEPT} AND ready_at < ?`, [now - DEAD_DAYS * DAY_MS]),
    meters: () => deleteRows(host, 'meters', 'id', 'resets_at < ?', [now - DAY_MS]),
    leases: () => deleteRows(host, 'leases', 'id', 'ends_at < ?', [now - DAY_MS]),
    flushed: () => host.events.flush().then(() => 0),
  };
  if (daily) {
    Object.assign(steps, {
      days: () => rollUp(host, now),
      orphans: () => deleteOrphans(host, now - ORPHAN_MS),
      retrain: () => startRetraining(host),
    });
  }
  const done: RetentionReport = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      done[name] = await step();
    } catch (error) {
      done[name] = -1;
      report(host.settings, `the cron job failed at ${name}`, error);
    }
  }
  return done;
}

/** Gives up the waiting lines of batches whose day is over: each gets an error. */
async function expireBatches(host: Host, now: number): Promise<number> {
  const expired = await host.sql.all<BatchRow>(
    `UPDATE batches SET state = 'expiring' WHERE state IN ('validating', 'in_progress') AND expires_at <= ? RETURNING *`,
    [now],
  );
  for (const { id } of expired) {
    // A batch of which no part waits, or that never had one, gets no further message, so nothing else would end it.
    await finishIfDone(host, id);
  }
  return expired.length;
}

async function resumeSplits(host: Host, stale: number): Promise<number> {
  const lost = await host.sql.all(
    `SELECT id FROM batches WHERE state = 'validating' AND created_at < ? LIMIT ${ROWS}`,
    [stale],
  );
  await host.queue.send(lost.map(({ id }) => ({ topic: 'batch.split' as const, body: { batch: id as string } })));
  return lost.length;
}

/**
 * Sends parts again whose messages are lost: those that wait in a batch of which no part has been done for a while. A message that only waits
 * behind many others stays valid, and comes before its copy.
 */
async function resumeParts(host: Host, stale: number): Promise<number> {
  const lost = await staleParts(host.sql, stale);
  await sendParts(host, lost);
  for (const owner of await busyOwners(host.sql)) await sendNext(host, owner);
  return lost.length;
}

/** Ends batches that nobody has ended after their last part, or whose message to end them is lost. */
async function resumeFinishes(host: Host, stale: number): Promise<number> {
  const open = await host.sql.all<BatchRow>(
    `SELECT * FROM batches WHERE state IN ('in_progress', 'expiring') AND COALESCE(started_at, created_at) < ? LIMIT ${ROWS}`,
    [stale],
  );
  for (const { id } of open) await finishIfDone(host, id);
  const lost = await host.sql.all<BatchRow>(
    `SELECT * FROM batches WHERE (state IN ('finalizing', 'expiring') AND finalizing_at < ?)
       OR (state = 'cancelling' AND cancelling_at < ?) LIMIT ${ROWS}`,
    [stale, stale],
  );
  await host.queue.send(lost.map(({ id }) => ({ topic: 'batch.finish' as const, body: { batch: id } })));
  return lost.length;
}

async function resumeBuilds(host: Host, stale: number, now: number): Promise<number> {
  const lost = await staleBuilds(host.sql, stale);
  for (const row of lost) await resumeBuild(host, row, now);
  return lost.length;
}

/** Deletes rows, some at a time, so that nobody waits long for the table. */
async function deleteRows(host: Host, table: string, id: string, where: string, params: SqlValue[]): Promise<number> {
  let total = 0;
  for (let at = 0; at < STATEMENTS; at += 1) {
    const deleted = await host.sql.all(
      `DELETE FROM ${table} WHERE ${id} IN (SELECT ${id} FROM ${table} WHERE ${where} LIMIT ${ROWS}) RETURNING ${id}`,
      params,
    );
    total += deleted.length;
    if (deleted.length < ROWS) break;
  }
  return total;
}

/** Deletes old usage, all rows of an hour together, as the key of the table has five columns. */
async function deleteUsage(host: Host, before: number): Promise<number> {
  const hours = await host.sql.all('SELECT DISTINCT hour FROM usage WHERE hour < ? ORDER BY hour LIMIT 48', [before]);
  for (const { hour } of hours) await host.sql.all('DELETE FROM usage WHERE hour = ?', [hour as number]);
  return hours.length;
}

async function deleteFiles(host: Host, now: number): Promise<number> {
  const deleted = await deleteExpired(host.sql, now, ROWS);
  if (deleted.length > 0) await host.blobs.delete(deleted.map(blobOf));
  return deleted.length;
}

/** Deletes batches whose files are deleted. */
async function deleteBatches(host: Host, before: number): Promise<number> {
  const ended = await host.sql.all('SELECT id FROM batches WHERE ended_at < ? ORDER BY ended_at LIMIT 100', [before]);
  for (const { id } of ended) {
    await deleteAll(host.blobs, `batches/${id}/`);
    await host.sql.batch([
      ['DELETE FROM batch_parts WHERE batch_id = ?', [id as string]],
      ['DELETE FROM batches WHERE id = ?', [id as string]],
    ]);
  }
  return ended.length;
}

/** Forgets the secrets that were rotated, once they hold no longer. */
async function forgetSecrets(host: Host, now: number): Promise<number> {
  const rows = await host.sql.all(
    'UPDATE api_keys SET old_hash = NULL, old_hash_until = NULL WHERE old_hash_until <= ? RETURNING id',
    [now],
  );
  return rows.length;
}

/** Deletes keys that have been invalid for as long as usage is kept: until then, usage shows whose it was. */
function deleteKeys(host: Host, before: number): Promise<number> {
  return deleteRows(host, 'api_keys', 'id', 'expires_at < ? OR revoked_at < ?', [before, before]);
}

/** Adds the hours of old days up to days. The hours are deleted in the same transaction, so nothing is counted twice. */
async function rollUp(host: Host, now: number): Promise<number> {
  const before = Math.floor(now / DAY_MS - HOURLY_DAYS) * DAY_MS;
  const days = await host.sql.all(
    `SELECT DISTINCT hour - hour % ${DAY_MS} AS day FROM usage WHERE hour < ? AND hour % ${DAY_MS} <> 0 LIMIT 40`,
    [before],
  );
  for (const { day } of days as { day: number }[]) {
    const range = [day, day + DAY_MS];
    const sums = ['requests', 'items', 'tokens', 'cached', 'ms'];
    await host.sql.batch([
      [
        `INSERT INTO usage (hour, key_id, route, model, status, ${sums.join(', ')})
         SELECT hour - hour % ${DAY_MS}, key_id, route, model, status, ${sums.map((name) => `CAST(SUM(${name}) AS BIGINT)`).join(', ')}
         FROM usage WHERE hour > ? AND hour < ? GROUP BY hour - hour % ${DAY_MS}, key_id, route, model, status
         ON CONFLICT (hour, key_id, route, model, status) DO UPDATE SET
           ${sums.map((name) => `${name} = usage.${name} + excluded.${name}`).join(', ')}`,
        range,
      ],
      ['DELETE FROM usage WHERE hour > ? AND hour < ?', range],
    ]);
  }
  return days.length;
}

/** Deletes objects that no row names, which a process had written before it died. */
async function deleteOrphans(host: Host, before: number): Promise<number> {
  const kinds = [
    { folder: 'files/', prefix: 'file-', find: (names: string[]) => fileNames(host, names) },
    { folder: 'batches/', prefix: 'batch_', find: (names: string[]) => findIn(host, ACTIVE, names) },
    { folder: 'indexes/', prefix: 'ix-', find: (names: string[]) => indexNames(host, names) },
  ];
  let total = 0;
  for (const { folder, prefix, find } of kinds) {
    for await (const objects of pagesOf(host.blobs, folder)) {
      const old = objects.flatMap(({ key }) => {
        // `batches/{id}/…`, `indexes/{build}.…` and plain names.
        const name = key.slice(folder.length).split(/[/.]/, 1)[0] as string;
        const time = timeOf(name, prefix) ?? timeOf(name, BUILD);
        return time !== undefined && time < before ? [{ key, name }] : [];
      });
      const found = await find([...new Set(old.map(({ name }) => name))]);
      const orphans = old.filter(({ name }) => !found.has(name)).map(({ key }) => key);
      if (orphans.length > 0) await host.blobs.delete(orphans);
      total += orphans.length;
    }
  }
  return total;
}

const ACTIVE = 'SELECT id AS name FROM batches WHERE ended_at IS NULL AND id';

/**
 * Finds those of the names that are of files, or that a batch is writing, whose objects have the batch's age. Batches are asked first: one
 * that ends meanwhile has the rows of its files by then.
 */
async function fileNames(host: Host, names: readonly string[]): Promise<Set<SqlValue>> {
  const batchOf = (name: string) => name.replace(/^file-(.*)-(output|error)$/, 'batch_$1');
  const active = await findIn(host, ACTIVE, names.map(batchOf));
  const found = await findIn(host, 'SELECT id AS name FROM files WHERE id', names);
  for (const name of names) if (active.has(batchOf(name))) found.add(name);
  return found;
}

/** Finds those of the names that a table has. */
async function findIn(host: Host, select: string, names: readonly string[]): Promise<Set<SqlValue>> {
  const found = new Set<SqlValue>();
  for (let at = 0; at < names.length; at += PARAMETERS) {
    const some = names.slice(at, at + PARAMETERS);
    const rows: Row[] = await host.sql.all(`${select} IN (${some.map(() => '?').join(', ')})`, some);
    for (const { name } of rows) found.add(name as SqlValue);
  }
  return found;
}

/** Finds those of the names that are of objects of indexes, or of builds that go on. */
async function indexNames(host: Host, names: readonly string[]): Promise<Set<SqlValue>> {
  const objects = await findIn(
    host,
    'SELECT object AS name FROM indexes WHERE object',
    names.map((name) => `indexes/${name}`),
  );
  const found = new Set<SqlValue>([...objects].map((object) => String(object).slice('indexes/'.length)));
  for (const { build } of await buildsOf(host)) found.add(build);
  return found;
}

/** The builds that go on. */
async function buildsOf(host: Host): Promise<Source[]> {
  const rows = await host.sql.all<IndexRow>(`SELECT * FROM indexes WHERE state = 'building'`);
  return rows.map(({ source }) => JSON.parse(source));
}

/** Sends the message of retraining, where there is a hook for it. */
async function startRetraining(host: Host): Promise<number> {
  if (host.settings.RETRAIN_URL === undefined) return 0;
  await host.queue.send([{ topic: 'retrain', body: {} }]);
  return 1;
}
