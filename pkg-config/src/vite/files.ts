import { createHash } from 'node:crypto';
import type { PilotlightFiles } from '../../types/vite.js';

/** The part of Rollup's and Rolldown's description of a build's files that is read here. */
export type Bundle = Record<
  string,
  { fileName: string } & (
    | { type: 'asset'; source: string | Uint8Array }
    | { type: 'chunk'; code: string; isEntry: boolean; imports: string[] }
  )
>;

/** Sorts the files of a build by when a page needs them. */
export function filesIn(bundle: Bundle): PilotlightFiles {
  const hash = createHash('sha256');
  const shell = new Set<string>();
  /** Adds a script with those that it imports at once. */
  const start = (name: string): void => {
    const file = bundle[name];
    if (!file || shell.has(name)) return;
    shell.add(name);
    if (file.type === 'chunk') file.imports.forEach(start);
  };
  const all: string[] = [];
  for (const file of Object.values(bundle).sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) {
    const { fileName: name } = file;
    if (name.endsWith('.map')) continue;
    hash.update(name).update(file.type === 'asset' ? file.source : file.code);
    all.push(name);
    if (file.type === 'chunk' ? file.isEntry : /\.(?:html|css)$/.test(name)) start(name);
  }
  return {
    version: hash.digest('hex').slice(0, 12),
    shell: all.filter((name) => shell.has(name)).map(addressOf),
    onUse: all.filter((name) => !shell.has(name)),
  };
}

/** A page `a/index.html` is asked for as `a/`. */
function addressOf(name: string): string {
  return /^(?:.*\/)?index\.html$/.test(name) ? name.slice(0, -'index.html'.length) || './' : name;
}
