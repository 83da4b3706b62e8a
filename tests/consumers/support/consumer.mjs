// A folder of a program that uses the package, installed from the tarball.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const CONSUMERS = path.join(ROOT, 'tests/consumers');

/** Makes `target/consumers/<name>` with the package in its `node_modules`, and the files of a folder beside this one; returns the folder. */
export function makeConsumer(name, from) {
  const folder = path.join(ROOT, 'target/consumers', name);
  rmSync(folder, { recursive: true, force: true });
  const installed = path.join(folder, 'node_modules/pilotlight');
  mkdirSync(installed, { recursive: true });
  const tarball = readdirSync(path.join(ROOT, 'dist')).find((file) => file.endsWith('.tgz'));
  execFileSync('tar', ['-xzf', path.join(ROOT, 'dist', tarball), '-C', installed, '--strip-components', '1']);
  if (from) cpSync(path.join(CONSUMERS, from), folder, { recursive: true });
  return folder;
}
