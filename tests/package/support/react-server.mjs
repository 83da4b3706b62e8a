import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Renders components on a server in a folder that has React of this version, and checks that nothing else happened. */
export function checkServer(folder, version, script) {
  const printed = execFileSync(process.execPath, [path.join(folder, script)], { encoding: 'utf8', timeout: 20_000 });
  const result = JSON.parse(printed);
  assert.equal(result.version.split('.')[0], version);
  assert.equal(result.html, '<p>loading true idle loading loading idle loading idle</p>');
  assert.match(result.suspended, /<p>wait<\/p>/);
  // React's own server sets timers.
  assert.deepEqual([result.imported, result.rendered, result.added], [[], [], []]);
}
