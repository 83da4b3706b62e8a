import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from './support/models.mjs';

const MIB = 2 ** 20;

test('nothing is left of the results of 20,000 texts that were let go of', () => {
  const script = path.join(ROOT, 'tests/package/support/soak.mjs');
  const said = execFileSync(process.execPath, ['--expose-gc', script], { cwd: ROOT, encoding: 'utf8' });
  const { values, before, after } = JSON.parse(said);
  assert.ok(values >= 20_000 * 384, `${values} values`);
  const grown = (after - before) / MIB;
  assert.ok(grown <= 4, `array buffers grew by ${grown.toFixed(1)} MiB, of ${(values * 4) / MIB} MiB of results`);
});
