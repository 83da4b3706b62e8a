/** A host in memory: SQLite, a folder of its own, counts and answers of this process, and models that tests make up. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Events, Host, Message, RequestEvent } from '../../src/host.ts';
import { GatewayError } from '../../src/http/errors.ts';
import { migrate } from '../../src/migrate.ts';
import type { Model, ModelInfo, Models, Vectors } from '../../src/models/model.ts';
import { FolderBlobs } from '../../src/parts/folder.ts';
import { LruCache } from '../../src/parts/lru.ts';
import { MemoryMeter } from '../../src/parts/memory-meter.ts';
import { openSqlite, type SqliteSql } from '../../src/parts/sqlite.ts';
import { readSettings } from '../../src/settings.ts';
import { checkLogs, watch } from './logs.ts';

/** Remembers events instead of adding them up. */
export class EventList implements Events {
  readonly list: RequestEvent[] = [];
  readonly observed: { name: string; value: number; labels?: Record<string, string> }[] = [];

  record(event: RequestEvent): void {
    this.list.push({ ...event });
  }

  observe(name: string, value: number, labels?: Record<string, string>): void {
    this.observed.push({ name, value, ...(labels ? { labels } : {}) });
  }

  async flush(): Promise<void> {}

  async render(): Promise<string> {
    return `# events ${this.list.length}\n`;
  }
}

/** One embedding model whose vectors are made of the characters of a text: quick, and different for different texts. */
export class StubModels implements Models {
  queuedTokens = 0;
  /** Texts that were embedded. */
  embedded: string[] = [];
  digest = 'stub-1';
  run: 'local' | 'upstream' = 'local';
  /** Milliseconds that an embedding takes. */
  delay = 0;
  /** The embeddings that were asked for. */
  asked = 0;
  /** Waited for by each embedding. */
  before: () => Promise<void> = async () => {};
  readonly extra: ModelInfo[] = [];

  get info(): ModelInfo {
    return {
      id: 'stub',
      task: 'embed',
      run: this.run,
      digest: this.digest,
      dimensions: 4,
      maxTokens: 256,
      maxItems: 256,
      maxTokensRequest: 8192,
    };
  }

  async list(): Promise<ModelInfo[]> {
    return [this.info, ...this.extra];
  }

  async get(name: string, task: string): Promise<Model> {
    if (name !== 'stub' || task !== 'embed') {
      throw new GatewayError('model_not_found', 'model: expected one of stub', { param: 'model' });
    }
    return { info: this.info, embed: (texts) => this.#embed(texts) };
  }

  states() {
    return [{ id: 'stub', loaded: true }];
  }

  async #embed(texts: string[]): Promise<Vectors> {
    this.asked += 1;
    await this.before();
    await new Promise((resolve) => setTimeout(resolve, this.delay));
    this.embedded.push(...texts);
    const data = Float32Array.from(texts.flatMap((text) => [text.length, text.charCodeAt(0) || 0, 1, 0.5]));
    return {
      data,
      dims: [texts.length, 4],
      tokens: texts.map((text) => text.split(/\s+/).length + 2),
      truncated: texts.map(() => false),
    };
  }
}

/** Secrets that no log may have. */
class WatchedSecrets extends Map<string, string> {
  override set(name: string, value: string): this {
    watch(value);
    return super.set(name, value);
  }
}

export interface TestHost extends Host {
  sql: SqliteSql;
  events: EventList;
  sent: Message[];
  secrets: Map<string, string>;
  /** Waits for all that is held. */
  settled(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TestHostOptions {
  /** Variables of the environment. */
  settings?: Record<string, string>;
  models?: Models;
  /** Parts in place of those in memory. */
  parts?: Partial<Pick<Host, 'meter' | 'cache' | 'blobs' | 'queue' | 'allowFailure' | 'service'>>;
}

/** Makes a host; `await using` ends it. */
export async function testHost({ settings = {}, models = new StubModels(), parts = {} }: TestHostOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-test-'));
  const sql = openSqlite(':memory:');
  const migrations = join(import.meta.dirname, '../../migrations');
  await migrate(
    sql,
    readdirSync(migrations).map((name) => ({ name, sql: readFileSync(join(migrations, name), 'utf8') })),
  );
  const held = new Set<Promise<unknown>>();
  const sent: Message[] = [];
  const secrets = new WatchedSecrets();
  const events = new EventList();
  const host: TestHost = {
    settings: readSettings({ LOG_LEVEL: 'info', ...settings }),
    sql,
    blobs: new FolderBlobs(folder),
    queue: {
      async send(messages) {
        sent.push(...messages);
      },
    },
    meter: new MemoryMeter(),
    cache: new LruCache(8 << 20),
    models,
    sent,
    secrets,
    hold(promise) {
      const settled = promise.catch(() => {}).finally(() => held.delete(settled));
      held.add(settled);
    },
    secret: async (name) => secrets.get(name),
    clientAddress: (request) => request.headers.get('x-test-address') ?? '192.0.2.1',
    ...parts,
    events,
    async settled() {
      while (held.size > 0) await Promise.all(held);
    },
    async [Symbol.asyncDispose]() {
      await this.settled();
      sql.close();
      rmSync(folder, { recursive: true, force: true });
      checkLogs();
    },
  };
  return host;
}
