/** The copy of the table of heads that an isolate keeps: what a change makes of it, and a read that the change overtakes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row, Sql } from '../src/host.ts';
import { Heads } from '../src/models/heads.ts';

const row = (digest: string): Row => ({ name: 'intents', task: 'classify', model: 'tiny', digest, created_at: 1 });

/** A table whose answers come when they are released, each with the rows of the moment at which it was asked for. */
function slowTable() {
  const table = { digest: 'old', reads: [] as (() => void)[] };
  const all = () => {
    const rows = [row(table.digest)];
    return new Promise<Row[]>((resolve) => table.reads.push(() => resolve(rows)));
  };
  return { table, sql: { skipLocked: '', all, batch: async () => [] } as unknown as Sql };
}

test('a read that began before a change does not replace what was read after it', async () => {
  const { table, sql } = slowTable();
  const heads = new Heads({ sql, blobs: {} as never });
  const before = heads.find('intents');
  table.digest = 'new';
  heads.forget();
  const after = heads.find('intents');
  const [first, second] = table.reads;
  second?.();
  assert.equal((await after)?.digest, 'new');
  first?.();
  await before;
  assert.equal((await heads.find('intents'))?.digest, 'new');
  assert.equal(table.reads.length, 2, 'the table is not read again within seconds');
});

test('a change is seen by the next call, and a head that is not there is looked for in the table', async () => {
  const { table, sql } = slowTable();
  const heads = new Heads({ sql, blobs: {} as never });
  const asked = async (name: string) => {
    const found = heads.find(name);
    // One read for each that the call waits for, two where it has to look twice.
    for (let turn = 0; turn < 20; turn += 1) {
      for (const read of table.reads.splice(0)) read();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return (await found)?.digest;
  };
  assert.equal(await asked('intents'), 'old');
  table.digest = 'new';
  assert.equal(await asked('intents'), 'old');
  heads.forget();
  assert.equal(await asked('intents'), 'new');
  assert.equal(await asked('none'), undefined);
});
