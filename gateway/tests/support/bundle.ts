/** Scripts as `wrangler deploy` would upload them. Those that tests run are made once, and kept in a folder that git ignores. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { wrangler } from '../../src/cli/wrangler.ts';

const GATEWAY = join(import.meta.dirname, '../..');
/** The files that a script is made of. The folder of the package is a link. */
const SOURCES = [
  'src',
  'benches/workers',
  'models.jsonc',
  'wrangler.jsonc',
  'package-lock.json',
  'node_modules/pilotlight/',
];

export interface Bundle {
  folder: string;
  /** The name of the script in the folder. */
  script: string;
}

/** Bundles as for a deploy, without one, and gives the words of wrangler with the bundle. The folder is the caller's to remove. */
export async function bundle(main: string, words: readonly string[] = []): Promise<Bundle & { said: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-bundle-'));
  const said = await wrangler(['deploy', main, '--dry-run', '--outdir', folder, ...words]);
  return { folder, script: basename(main).replace(/\.ts$/, '.js'), said };
}

/** The script of a deploy: made where none is kept, or where a file that it is made of has changed since. */
export async function deployed(main = 'src/hosts/cloudflare.ts'): Promise<Bundle> {
  const script = basename(main).replace(/\.ts$/, '.js');
  const scripts = join(GATEWAY, '.dev/scripts');
  const folder = join(scripts, `${script}-${version()}`);
  if (existsSync(folder)) return { folder, script };
  await mkdir(scripts, { recursive: true });
  const others = (await readdir(scripts)).filter((name) => name.startsWith(`${script}-`));
  const own = await mkdtemp(join(scripts, 'new-'));
  try {
    await wrangler(['deploy', main, '--dry-run', '--outdir', own]);
    // Another test file may have been first.
    await rename(own, folder).catch((error) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(own, { recursive: true, force: true });
  }
  for (const other of others) await rm(join(scripts, other), { recursive: true, force: true });
  return { folder, script };
}

/** A digest of the paths, sizes and times of change of the sources. */
function version(): string {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(GATEWAY, source);
    const files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => join(parentPath, name))
          .sort()
      : [path];
    for (const file of files) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${file} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest('hex').slice(0, 16);
}
