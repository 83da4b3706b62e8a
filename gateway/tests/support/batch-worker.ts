/**
 * A process that works on batches: `node batch-worker.ts FOLDER`. It has the database, the objects and the queue in a folder, so that a test
 * can kill it at any point and start another one. Each message is delivered twice, and a text that begins with "poison" ends the process.
 */
import { join } from 'node:path';
import type { Message } from '../../src/host.ts';
import { bury, consume } from '../../src/jobs/consume.ts';
import { FolderBlobs } from '../../src/parts/folder.ts';
import { SqlQueue } from '../../src/parts/sql-queue.ts';
import { openSqlite } from '../../src/parts/sqlite.ts';
import { StubModels, type TestHost, testHost } from './host.ts';

/** A host whose state is in a folder. */
export async function hostIn(folder: string, models = new StubModels()): Promise<TestHost & { queue: SqlQueue }> {
  const host = await testHost({ models });
  const sql = openSqlite(join(folder, 'db'));
  // A message of a process that was killed comes back after a second.
  const queue = new SqlQueue(sql, { tries: 2, leaseSeconds: 1, retrySeconds: 0, pollMs: 20 });
  return Object.assign(host, { sql, queue, blobs: new FolderBlobs(join(folder, 'blobs')) });
}

class PoisonedModels extends StubModels {
  override async get(name: string, task: string) {
    const model = await super.get(name, task);
    const { embed } = model;
    return {
      ...model,
      embed: async (texts: string[]) => {
        if (texts[0]?.startsWith('poison')) process.exit(9);
        return (embed as (texts: string[]) => ReturnType<NonNullable<typeof embed>>)(texts);
      },
    };
  }
}

if (process.argv[1] === import.meta.filename) {
  const host = await hostIn(process.argv[2] as string, new PoisonedModels());
  const stop = new AbortController();
  process.on('SIGTERM', () => stop.abort());
  const consumer = {
    async consume(message: Message) {
      await consume(host, message);
      await consume(host, message);
    },
    bury: (message: Message) => bury(host, message),
  };
  await host.queue.run(consumer, stop.signal);
  process.exit(0);
}
