import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ask, PACKAGE, ROOT, run } from './steps.mjs';

/** Packs dist/package/ and returns the tarball's path, relative to the root. */
export function pack() {
  const dist = path.dirname(PACKAGE);
  for (const old of readdirSync(dist).filter((name) => name.endsWith('.tgz'))) rmSync(path.join(dist, old));
  const [{ filename }] = JSON.parse(ask('npm', ['pack', PACKAGE, '--pack-destination', dist, '--json']));
  return path.relative(ROOT, path.join(dist, filename));
}

/** Installs the tarball in the repository's node_modules/. The package has no dependencies, so unpacking is enough. */
export function installPackage(tarball) {
  const target = path.join(ROOT, 'node_modules/pilotlight');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  run('tar', ['-xzf', tarball, '-C', target, '--strip-components', '1']);
}
