// CLIP's towers in folders that `pull` made: while a branch moves, cut off, altered, and on every kind of host.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { ROOT } from './support/models.mjs';
import { A, B, FIRST, hub, isSame, listed, load, OTHER, setUp, TOWERS } from './support/two-clips.mjs';

setUp();

describe('a folder that pull made', () => {
  const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
  const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
  let base;
  before(() => (base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-clip-'))));
  after(() => rmSync(base, { recursive: true }));

  async function run(...args) {
    const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, HF_TOKEN: '' } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
    const [code] = await once(child, 'close');
    return { code, ...output };
  }
  const fresh = () => mkdtempSync(path.join(base, 'f-'));
  const folderOf = (out, model) => path.join(out, model, 'resolve/main');

  async function served(t, folder, traits = { api: false }) {
    const packed = await startHub({ models: { [A]: folder }, traits });
    t.after(() => packed.close());
    return packed;
  }

  test('while the branch moves is of one commit, and good', async (t) => {
    const [first, other] = [await load(A, false, { dtype: 'q8' }), await load(B, false, { dtype: 'q8' })];
    // The branch moves at another request each time.
    let moved = 0;
    for (let at = 0; at < 12; at += 1) {
      const host = await startHub({ models: { [A]: FIRST } });
      t.after(() => host.close());
      await fetch(`${host.url}/api/models/${A}/tree/main?recursive=true`);
      let asked = 0;
      host.setFaults([
        {
          file: /./,
          fault: 'do',
          value: async () => {
            asked += 1;
            if (asked !== at + 1) return;
            moved += 1;
            await host.push(A, OTHER);
          },
        },
      ]);
      const out = fresh();
      const { code, stderr } = await run('pull', A, '--host', host.url, '--out', out);
      assert.equal(code, 0, `moved at request ${at}: ${stderr}`);
      const verified = await run('verify', out);
      assert.equal(verified.code, 0, verified.stdout);
      const packed = await served(t, folderOf(out, A));
      const got = await load(A, mapStore(), { dtype: 'q8', host: packed.url });
      assert.ok(
        [first, other].some((one) => TOWERS.every((name) => isSame(one[name], got[name]))),
        `moved at request ${at}: a mixture`,
      );
      if (asked <= at) break;
    }
    t.diagnostic(`it moved at each of ${moved} requests`);
    assert.ok(moved > 5);
  });

  for (const tower of TOWERS) {
    test(`with one bit of the ${tower} tower changed is found wrong by verify, and by a load; the other tower is good`, async (t) => {
      const out = fresh();
      assert.equal((await run('pull', A, '--host', hub.url, '--out', out)).code, 0);
      const folder = folderOf(out, A);
      const name = readdirSync(folder).find((file) => file.startsWith(`pilotlight-q8-${tower}`));
      assert.equal((await run('verify', out)).code, 0);
      const good = readFileSync(path.join(folder, name));
      const expected = await load(A, false, { dtype: 'q8' });
      const other = TOWERS.find((one) => one !== tower);
      for (const at of [8, good.length >> 1, good.length - 1]) {
        const bytes = new Uint8Array(good);
        bytes[at] ^= 1;
        writeFileSync(path.join(folder, name), bytes);
        const { code, stdout } = await run('verify', out);
        assert.equal(code, 1);
        assert.match(stdout, new RegExp(`^wrong .*${name.replaceAll('.', '\\.')}: has the sha256 `, 'm'));
        assert.match(stdout, /1 wrong/);
        const packed = await served(t, folder);
        const store = mapStore();
        const open = { dtype: 'q8', host: packed.url, timeout: 2000 };
        const error = await load(A, store, open).then(
          () => assert.fail(`byte ${at} of ${good.length}: it loaded`),
          (thrown) => thrown,
        );
        assert.equal(error.name, 'PilotlightError', String(error));
        assert.ok(
          ['INTEGRITY', 'INVALID_WEIGHTS'].includes(error.code) && error.message.includes(name),
          `${error.code}: ${error.message}`,
        );
        assert.deepEqual(await listed(store), tower === 'text' ? [] : [`${A} text`]);
        assert.deepEqual((await load(A, store, { ...open, towers: [other] }))[other], expected[other]);
      }
    });
  }

  for (const traits of [{}, { api: false }]) {
    test(`from ${traits.api === false ? 'a bucket' : 'a hub'} loads into no store as into one`, async (t) => {
      const out = fresh();
      assert.equal((await run('pull', A, '--host', hub.url, '--out', out)).code, 0);
      const packed = await served(t, folderOf(out, A), traits);
      assert.deepEqual(await load(A, false, { dtype: 'q8', host: packed.url }), await load(A, false, { dtype: 'q8' }));
      // Without the lock file, a bucket has no digests.
      rmSync(path.join(folderOf(out, A), 'pilotlight-lock.json'));
      const bare = await served(t, folderOf(out, A), traits);
      if (traits.api !== false)
        for (const store of [false, mapStore()])
          assert.deepEqual(
            await load(A, store, { dtype: 'q8', host: bare.url }),
            await load(A, false, { dtype: 'q8' }),
          );
    });
  }
});
