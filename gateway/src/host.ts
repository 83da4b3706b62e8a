/**
 * The interfaces that the gateway needs of a platform. Each has bodies in `parts/`, and one contract test in `tests/contracts/` that every body
 * passes. Nothing that imports this file knows of a platform.
 */
import type { Settings } from './settings.ts';

/** A value of a column. Times are milliseconds since 1970; booleans are 0 and 1; JSON is text. */
export type SqlValue = string | number | null;
export type Row = Record<string, SqlValue>;
/** A statement with `?` for each parameter. */
export type Statement = readonly [sql: string, params?: readonly SqlValue[]];

/** A database: D1, SQLite or Postgres. Statements keep to what all three understand. */
export interface Sql {
  /** The clause that leaves out rows which another consumer holds: `FOR UPDATE SKIP LOCKED` in Postgres, else empty. */
  readonly skipLocked: string;
  /** Runs one statement and gives its rows. */
  all<R extends Row>(sql: string, params?: readonly SqlValue[]): Promise<R[]>;
  /** Runs statements in order, all or none of them, and gives the rows of each. */
  batch(statements: readonly Statement[]): Promise<Row[][]>;
}

export interface StoredBlob {
  body: ReadableStream<Uint8Array>;
  /** Bytes of the whole object, also where a range was read. */
  size: number;
  /** Changes whenever the content does; without quotes. */
  etag: string;
}

/** A part of an object, in bytes. */
export interface BlobRange {
  offset: number;
  length: number;
}

/** The bytes of an object, or a stream of them. */
export type BlobBody = Uint8Array | ReadableStream<Uint8Array>;

export interface PutOptions {
  /** The bytes of a stream, which must be told. */
  size?: number;
  /** Writes nothing where there is an object of that name. */
  ifNoneMatch?: boolean;
}

/** Some names of objects; `cursor` goes on where they end, and is not there at the end. */
export interface BlobPage {
  objects: { key: string; size: number }[];
  cursor?: string;
}

/** Objects by name: R2, a folder or an S3 bucket. A name is letters, digits, `.`, `_`, `-` and `/`. */
export interface Blobs {
  /** The object, or a range of it; `undefined` where there is none. */
  get(key: string, range?: BlobRange): Promise<StoredBlob | undefined>;
  /**
   * Writes an object whole or not at all.
   * Returns `undefined` where `ifNoneMatch` kept it from being written.
   */
  put(key: string, body: BlobBody, options?: PutOptions): Promise<{ etag: string } | undefined>;
  /** Deletes objects; names without an object are no error. */
  delete(keys: readonly string[]): Promise<void>;
  /** Names that start with `prefix`, in order, up to 1,000 at a time. */
  list(prefix: string, cursor?: string): Promise<BlobPage>;
}

/** A message between jobs. It names what is to be done, and its reader looks up all else, so that an old message is harmless. */
export interface Message {
  topic: 'batch.split' | 'batch.part' | 'batch.finish' | 'index.build' | 'retrain';
  body: Record<string, string | number>;
  delaySeconds?: number;
}

/** A queue that delivers each message at least once: Cloudflare Queues, or a table. Its consumer is `jobs/consume.ts`. */
export interface Queue {
  send(messages: readonly Message[]): Promise<void>;
}

/** One limit: at most `limit` units within `seconds` from the first of them on. */
export interface Policy {
  name: 'rpm' | 'tpm' | 'tpd' | 'failures';
  limit: number;
  seconds: number;
  /** The units that this request takes. */
  cost: number;
}

export interface MeterReport {
  name: Policy['name'];
  limit: number;
  /** The units that are left, 0 or more. */
  remaining: number;
  /** Seconds, rounded up, until all units are there again. */
  resetSeconds: number;
  /** The length of the window. */
  seconds: number;
}

/** Counts units exactly, also among requests that come at the same time to several isolates or processes. */
export interface Meter {
  /** Takes the cost of every policy, or of none: where one does not have it, `blocked` names the first such policy. */
  take(
    key: string,
    policies: readonly Policy[],
  ): Promise<{ allowed: boolean; blocked?: Policy['name']; reports: MeterReport[] }>;
  /** Adds to what was taken, or gives back where `extra` is negative; may go over the limit, and never below 0 units used. */
  settle(key: string, policy: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void>;
  /**
   * Takes one of the places of a key, or renews the one that has this id. A place that is neither renewed nor given back is free again after
   * its seconds, since whoever has it may have ended. Returns false where all places are taken.
   */
  lease(key: string, lease: Lease): Promise<boolean>;
  /** Gives a place back; one that has run out is no error. */
  release(key: string, id: string): Promise<void>;
}

/** One of the `limit` places of a key, for `seconds`. */
export interface Lease {
  /** Tells this place from the others of the key; no client may choose it. */
  id: string;
  limit: number;
  seconds: number;
}

/** Keeps answers of requests: the Cache API, memory or Redis. A cache may forget at any time. */
export interface Cache {
  /** `digest` is hexadecimal. */
  match(digest: string): Promise<Response | undefined>;
  put(digest: string, response: Response, seconds: number): Promise<void>;
}

/** One answered request, as logs, usage and metrics see it. It has nothing of the request's content. */
export interface RequestEvent {
  id: string;
  at: number;
  /** The path as the operation declares it, such as `/v1/models/{id}`. */
  route: string;
  method: string;
  status: number;
  /** Milliseconds. */
  ms: number;
  key?: string;
  owner?: string;
  model?: string;
  run?: 'local' | 'upstream';
  upstream?: string;
  /** Texts, images or digits. */
  items: number;
  tokens: number;
  cache?: 'HIT' | 'MISS' | 'BYPASS';
  /** The code of the error that was answered. */
  error?: string;
  /** The policy that a 429 named. */
  limited?: string;
}

/** Records events: as usage rows in SQL, Prometheus metrics, and points of Analytics Engine where there is one. */
export interface Events {
  record(event: RequestEvent): void;
  /** Observes a value that is not about one request, such as the seconds of a model's load. */
  observe(name: Measure, value: number, labels?: Record<string, string>): void;
  /** Writes what was recorded. Called after answers, at most every ten seconds, and by cron. */
  flush(): Promise<void>;
  /** All metrics in Prometheus' text format, added up over isolates. */
  render(): Promise<string>;
}

export type Measure = 'model_load_seconds' | 'upstream_seconds' | 'upstream_state' | 'queue_tokens' | 'batch_parts';

/** The platform under the gateway. */
export interface Host {
  settings: Settings;
  sql: Sql;
  blobs: Blobs;
  queue: Queue;
  meter: Meter;
  cache: Cache;
  events: Events;
  models: import('./models/model.ts').Models;
  /** Keeps work alive after its request was answered, or its client has left. */
  hold(promise: Promise<unknown>): void;
  /** The value of a secret; `undefined` where there is none. */
  secret(name: string): Promise<string | undefined>;
  /** The client's address, for limits of requests without a valid key. */
  clientAddress(request: Request): string;
  /** Checks quickly whether the limit of failed authentications leaves an address a try; undefined to use `meter`. */
  allowFailure?(address: string): Promise<boolean>;
  /** A request to another Worker of the same account, by the name of its binding; undefined where the host has none. */
  service?(name: string): ((request: Request) => Promise<Response>) | undefined;
}
