/** Tests whose server, runtime or weights are missing: skipped with a reason by hand, failures under make. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const here = import.meta.dirname;

/** Runs a test file that needs MiniLM, on a machine without it. */
function without(env: Record<string, string>) {
  const { NODE_TEST_CONTEXT, ...inherited } = process.env;
  return spawnSync(process.execPath, ['--test', '--test-reporter=spec', join(here, 'placements.test.ts')], {
    encoding: 'utf8',
    env: { ...inherited, PILOTLIGHT_MINILM: '/nowhere', GATEWAY_SKIPS: '', GATEWAY_FULL: '', ...env },
  });
}

test('by hand, a test without what it needs is skipped with the command that installs it', () => {
  const { status, stdout } = without({});
  assert.equal(status, 0, stdout);
  assert.match(stdout, /SKIPPED: there is no MiniLM at \/nowhere on this machine: make minilm/);
  assert.match(stdout, /skipped 1\n/);
});

test('under make it fails with that command, and make says that it is make', () => {
  const { status, stdout } = without({ GATEWAY_SKIPS: 'never' });
  assert.equal(status, 1);
  assert.match(stdout, /Error: there is no MiniLM at \/nowhere on this machine: make minilm/);
  const makefile = readFileSync(join(here, '../../Makefile'), 'utf8');
  const [, environment] = /^GATEWAY_ENVIRONMENT = (.*\\\n.*)$/m.exec(makefile) ?? [];
  assert.match(environment ?? '', /\bGATEWAY_SKIPS=never\b/);
});

test('no test is skipped otherwise', () => {
  const skips = readdirSync(here)
    .filter((name) => name.endsWith('.test.ts') && name !== 'needs.test.ts')
    .flatMap((name) => readFileSync(join(here, name), 'utf8').match(/\b(?:skip|todo)\b[^a-z]*[^\n]*/gi) ?? []);
  assert.ok(skips.length > 20);
  const allowed = /^(skip(:| =) lacking\(|skip( \}|,)|skip === false|SKIP LOCKED|skipped|skipLocked|skipper)/;
  for (const skip of skips) assert.match(skip, allowed);
});
