/** The contract of `Sql`. The database has the schema of the migrations, and no rows. */
import assert from 'node:assert/strict';
import type { Sql, Statement } from '../../src/host.ts';
import { type Migration, migrate } from '../../src/migrate.ts';
import { type Contract, many } from './contract.ts';

const BIG = 2 ** 31 + 5;
const UNICODE = 'Grüße, 日本語 👩‍🚀 é — "a" \'b\' ? $1 \\ %\n\t';

const insertMeter = (id: string, used: number): Statement => [
  'INSERT INTO meters (id, used, resets_at) VALUES (?, ?, ?)',
  [id, used, 0],
];

const insertMessage = (id: string): Statement => [
  'INSERT INTO queue (id, topic, body, ready_at, attempts, dead) VALUES (?, ?, ?, ?, 0, 0)',
  [id, 'retrain', '{}', 0],
];

export const sqlContract: Contract<Sql> = {
  'values come back as they were given: integers above 2^31, Unicode, null and empty text': async (make) => {
    const sql = await make();
    for (const value of [0, -1, BIG, -BIG, Number.MAX_SAFE_INTEGER]) {
      await sql.all(...insertMeter(`n${value}`, value));
      assert.deepEqual(await sql.all('SELECT used FROM meters WHERE id = ?', [`n${value}`]), [{ used: value }]);
    }
    for (const [index, text] of [UNICODE, '', 'a'.repeat(70_000)].entries()) {
      await sql.all(
        'INSERT INTO files (id, owner, filename, purpose, bytes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
        [`t${index}`, 'o', text, 'batch', BIG, BIG, null],
      );
      const rows = await sql.all('SELECT filename, bytes, expires_at FROM files WHERE id = ?', [`t${index}`]);
      assert.deepEqual(rows, [{ filename: text, bytes: BIG, expires_at: null }]);
    }
    assert.deepEqual(await sql.all('SELECT id FROM files WHERE filename = ?', [UNICODE]), [{ id: 't0' }]);
  },

  'counts and sums are numbers': async (make) => {
    const sql = await make();
    await sql.batch([insertMeter('a', BIG), insertMeter('b', BIG)]);
    const rows = await sql.all('SELECT COUNT(*) AS n, SUM(used) AS total, MAX(used) AS most FROM meters');
    assert.deepEqual(rows, [{ n: 2, total: 2 * BIG, most: BIG }]);
  },

  'a question mark in quotes is no parameter': async (make) => {
    const sql = await make();
    await sql.all(...insertMeter('?', 1));
    assert.deepEqual(await sql.all(`SELECT '?''?' AS "a?", used FROM meters WHERE id = '?' AND used = ?`, [1]), [
      { 'a?': "?'?", used: 1 },
    ]);
  },

  'a statement without rows gives none, and RETURNING gives what changed': async (make) => {
    const sql = await make();
    assert.deepEqual(await sql.all(...insertMeter('a', 1)), []);
    assert.deepEqual(await sql.all('UPDATE meters SET used = used + ? WHERE id = ? RETURNING id, used', [2, 'a']), [
      { id: 'a', used: 3 },
    ]);
    assert.deepEqual(await sql.all('DELETE FROM meters WHERE id = ? RETURNING id', ['b']), []);
  },

  'a batch runs in order and gives the rows of each statement': async (make) => {
    const sql = await make();
    assert.deepEqual(
      await sql.batch([
        insertMeter('a', 1),
        ['SELECT used FROM meters'],
        ['UPDATE meters SET used = 7'],
        ['SELECT used FROM meters WHERE id = ?', ['a']],
      ]),
      [[], [{ used: 1 }], [], [{ used: 7 }]],
    );
    assert.deepEqual(await sql.batch([]), []);
  },

  'a batch is all or none: a statement that fails undoes those before it': async (make) => {
    const sql = await make();
    await sql.all(...insertMeter('here', 1));
    await assert.rejects(sql.batch([insertMeter('new', 1), insertMeter('here', 2), insertMeter('newer', 1)]));
    await assert.rejects(sql.batch([['DELETE FROM meters'], ['SELECT nothing FROM nowhere']]));
    assert.deepEqual(await sql.all('SELECT id, used FROM meters'), [{ id: 'here', used: 1 }]);
    // The database goes on afterwards.
    await sql.batch([insertMeter('new', 1)]);
    await assert.rejects(sql.all('SELECT nothing FROM nowhere'));
    assert.equal((await sql.all('SELECT id FROM meters')).length, 2);
  },

  'counters that are added to at the same time lose nothing': async (make) => {
    const sql = await make();
    await many(60, 12, () =>
      sql.batch([
        [
          `INSERT INTO meters (id, used, resets_at) VALUES (?, ?, 0)
             ON CONFLICT (id) DO UPDATE SET used = meters.used + excluded.used`,
          ['n', BIG],
        ],
      ]),
    );
    assert.deepEqual(await sql.all('SELECT used FROM meters'), [{ used: 60 * BIG }]);
  },

  'an insert that does nothing where there is a row tells so': async (make) => {
    const sql = await make();
    const insert = 'INSERT INTO meters (id, used, resets_at) VALUES (?, 0, 0) ON CONFLICT (id) DO NOTHING RETURNING id';
    const won = await many(12, 12, () => sql.all(insert, ['one']));
    assert.equal(won.filter((rows) => rows.length === 1).length, 1);
  },

  'pages by (time, id) have each row once, also where times are equal': async (make) => {
    const sql = await make();
    const at = (index: number) => BIG + (index % 3);
    const insert = `INSERT INTO predictions (id, at, key_id, route, model, digest, output, ms, expires_at)
      VALUES (?, ?, ?, '/v1/classify', 'm', 'd', '{}', 1, 1)`;
    await sql.batch(
      Array.from(
        { length: 25 },
        (_, index): Statement => [insert, [`p${String(index).padStart(2, '0')}`, at(index), 'k']],
      ),
    );
    const seen: string[] = [];
    let before: [number, string] = [Number.MAX_SAFE_INTEGER, ''];
    for (;;) {
      const page = await sql.all<{ at: number; id: string }>(
        'SELECT at, id FROM predictions WHERE key_id = ? AND (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT 10',
        ['k', ...before],
      );
      const last = page.at(-1);
      if (!last) break;
      seen.push(...page.map(({ id }) => id));
      before = [last.at, last.id];
    }
    const expected = Array.from({ length: 25 }, (_, index) => ({ index, id: `p${String(index).padStart(2, '0')}` }))
      .sort((a, b) => at(b.index) - at(a.index) || (a.id < b.id ? 1 : -1))
      .map(({ id }) => id);
    assert.deepEqual(seen, expected);
  },

  'of 12 that finish the last parts at the same time, one finds the whole finished': async (make) => {
    const sql = await make();
    await sql.batch(Array.from({ length: 12 }, (_, index) => insertMessage(`part${index}`)));
    await sql.all(...insertMeter('whole', 0));
    const finished = await many(12, 12, async (index) => {
      await sql.all('UPDATE queue SET dead = 1 WHERE id = ? AND dead = 0', [`part${index}`]);
      const rows = await sql.all(
        'UPDATE meters SET used = 1 WHERE id = ? AND used = 0 AND NOT EXISTS (SELECT 1 FROM queue WHERE dead = 0) RETURNING id',
        ['whole'],
      );
      return rows.length;
    });
    assert.equal(
      finished.reduce((sum, each) => sum + each),
      1,
    );
  },

  'of 12 claimers each message is claimed by one': async (make) => {
    const sql = await make();
    await sql.batch(Array.from({ length: 60 }, (_, index) => insertMessage(`m${index}`)));
    const claim = () =>
      sql.all<{ id: string }>(
        `WITH ready AS (SELECT id FROM queue WHERE ready_at <= 0 ORDER BY ready_at, id LIMIT 2 ${sql.skipLocked})
         UPDATE queue SET ready_at = 1 WHERE id IN (SELECT id FROM ready) RETURNING id`,
      );
    const claimed = (
      await many(12, 12, async () => {
        const mine: string[] = [];
        for (let misses = 0; misses < 3; ) {
          const rows = await claim();
          if (rows.length === 0) misses++;
          assert.ok(rows.length <= 2);
          mine.push(...rows.map(({ id }) => id));
        }
        return mine;
      })
    ).flat();
    assert.equal(claimed.length, 60);
    assert.equal(new Set(claimed).size, 60);
  },

  'migrations are applied once, in the order of their names, by whoever comes first': async (make) => {
    const sql = await make();
    const migrations: Migration[] = [
      { name: '0103_second.sql', sql: '-- a; comment\nINSERT INTO tried (a)\nVALUES (2);\n' },
      { name: '0102_first.sql', sql: `CREATE TABLE tried (a INTEGER);\nINSERT INTO tried (a) VALUES (1);` },
    ];
    const applied = await Promise.all([migrate(sql, migrations), migrate(sql, migrations)]);
    assert.deepEqual(applied.flat().sort(), ['0102_first.sql', '0103_second.sql']);
    assert.deepEqual(await migrate(sql, migrations), []);
    assert.deepEqual(await sql.all('SELECT a FROM tried ORDER BY a'), [{ a: 1 }, { a: 2 }]);

    const broken = {
      name: '0104_broken.sql',
      sql: 'INSERT INTO tried (a) VALUES (3);\nINSERT INTO nowhere VALUES (1);',
    };
    await assert.rejects(migrate(sql, [...migrations, broken]), /migration 0104_broken\.sql failed: /);
    assert.deepEqual(await sql.all('SELECT a FROM tried ORDER BY a'), [{ a: 1 }, { a: 2 }]);
    assert.deepEqual(await migrate(sql, [...migrations, { ...broken, sql: 'DROP TABLE tried;' }]), ['0104_broken.sql']);
  },
};
