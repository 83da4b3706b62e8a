// A folder of a program that uses the package, installed from the tarball.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const CONSUMERS = path.join(ROOT, 'tests/consumers');

/**
 * Makes `target/consumers/<name>` with the package in its `node_modules`, and returns it. `from` are files beside this folder, or folders whose
 * files are copied; `packages` is a folder beside it whose installed packages the program imports, for tools that follow no links out of it.
 */
export function makeConsumer(name, { from = [], packages } = {}) {
  const folder = path.join(ROOT, 'target/consumers', name);
  rmSync(folder, { recursive: true, force: true });
  const modules = path.join(folder, 'node_modules');
  mkdirSync(folder, { recursive: true });
  // Hard links, because copies of 30,000 files take half a minute.
  if (packages) execFileSync('cp', ['-al', path.join(CONSUMERS, packages, 'node_modules'), modules]);
  const installed = path.join(modules, 'pilotlight');
  mkdirSync(installed, { recursive: true });
  const tarball = readdirSync(path.join(ROOT, 'dist')).find((file) => file.endsWith('.tgz'));
  execFileSync('tar', ['-xzf', path.join(ROOT, 'dist', tarball), '-C', installed, '--strip-components', '1']);
  const isSource = (file) => !file.split(path.sep).includes('node_modules');
  for (const source of from) {
    const full = path.join(CONSUMERS, source);
    const target = path.extname(source) ? path.join(folder, path.basename(source)) : folder;
    cpSync(full, target, { recursive: true, filter: (file) => isSource(path.relative(full, file)) });
  }
  return folder;
}
