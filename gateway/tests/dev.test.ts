/** `npm run dev`: a first key, a model in the bucket, and the gateway in workerd, without an account and without a network. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyWithout } from './support/copy.ts';
import { lacking, MINILM } from './support/needs.ts';
import { freePort, start, untilOk } from './support/process.ts';

const body = JSON.stringify({ model: 'all-MiniLM-L6-v2', input: 'A cat sits on the mat.' });

test('dev prints a first key that MiniLM answers to, and a second start finds what is there', {
  skip: lacking('minilm'),
}, async () => {
  const { folder, remove } = copyWithout();
  const port = await freePort();
  const dev = () =>
    start([process.execPath, 'with-node.mjs', 'cli.ts', 'dev', '--port', String(port)], {
      cwd: folder,
      env: { MODEL_PATH: MINILM, CI: '1' },
    });
  const url = `http://127.0.0.1:${port}`;
  try {
    let key = '';
    {
      await using program = dev();
      await untilOk(`${url}/healthz`, program);
      const said = program.said();
      assert.match(said, /database: applied 0001_init\.sql/);
      assert.match(said, /bucket: 9 files, 24\.\d MB at models\/sentence-transformers\/all-MiniLM-L6-v2\//);
      key = /pl_\w{12}_\w{32}_\w{6}/.exec(said)?.[0] ?? '';
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const response = await fetch(`${url}/v1/embeddings`, { method: 'POST', headers, body });
      const answer = (await response.json()) as { data: { embedding: number[] }[] };
      assert.equal(response.status, 200, JSON.stringify(answer));
      assert.equal(answer.data[0]?.embedding.length, 384);
      const refused = await fetch(`${url}/v1/embeddings`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      assert.equal(refused.status, 401);
      await refused.body?.cancel();
      await program.end();
    }
    {
      await using program = dev();
      await untilOk(`${url}/healthz`, program);
      assert.match(program.said(), /keys: there is one already/);
      assert.doesNotMatch(program.said(), /packing|applied|pl_/);
      const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
      assert.equal(response.status, 200);
      await response.body?.cancel();
    }
  } finally {
    remove();
  }
});

test('without the hub, dev says how a folder is given', async () => {
  const { folder, remove } = copyWithout();
  try {
    await using program = start([process.execPath, 'cli.ts', 'dev'], {
      cwd: folder,
      env: { MODEL_PATH: 'http://127.0.0.1:1', CI: '1' },
    });
    const code = await new Promise((resolve) => program.child.once('close', resolve));
    assert.equal(code, 1);
    assert.match(program.said(), /all-MiniLM-L6-v2 cannot be read: .*127\.0\.0\.1:1/);
    assert.match(program.said(), /MODEL_PATH=\.\.\/\.models\/all-MiniLM-L6-v2 npm run dev/);
  } finally {
    remove();
  }
});
