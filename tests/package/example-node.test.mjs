import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';

test('examples/node finds the sentences that mean the same', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(ROOT, 'examples/node/index.mjs'), hub.url]);
  const pairs = stdout.split('\n').filter((line) => line.includes('  |  '));
  assert.equal(pairs.length, 6, stdout);
  const byScore = pairs.toSorted((a, b) => Number.parseFloat(b) - Number.parseFloat(a));
  assert.ok(
    byScore.slice(0, 2).some((line) => /guitar.*instrument/.test(line)),
    stdout,
  );
  assert.ok(
    byScore.slice(0, 2).some((line) => /train.*railway/.test(line)),
    stdout,
  );
  assert.match(stdout, /384 dimensions on cpu, q8/);
});
