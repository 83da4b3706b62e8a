import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'vite';

/** Emits `service-worker.js` with the names of this build's files, and a version that changes when one of them does. */
export function serviceWorker(): Plugin {
  let root = '';
  let publicDir = '';
  return {
    name: 'service-worker',
    apply: 'build',
    configResolved(config) {
      root = config.root;
      publicDir = config.publicDir;
    },
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const shell = ['./', ...readdirSync(publicDir)];
        const later: string[] = [];
        const hash = createHash('sha256');
        for (const name of readdirSync(publicDir)) hash.update(readFileSync(path.join(publicDir, name)));
        for (const file of Object.values(bundle).sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) {
          hash.update(file.fileName).update(file.type === 'asset' ? file.source : file.code);
          if (file.fileName.endsWith('.html') || file.fileName.endsWith('.map')) continue;
          // Pilotlight stores models in IndexedDB, so the service worker need not cache them.
          if (file.fileName.startsWith('models/')) continue;
          // Code that is loaded on demand (the WebAssembly builds, the GPU's glue) is kept once it was used.
          const upFront = file.type === 'chunk' ? file.isEntry : file.fileName.endsWith('.css');
          (upFront ? shell : later).push(file.fileName);
        }
        for (const entry of Object.values(bundle)) {
          if (entry.type === 'chunk' && entry.isEntry)
            shell.push(...entry.imports.filter((name) => !shell.includes(name)));
        }
        const source = readFileSync(path.join(root, 'build/service-worker.js'), 'utf8')
          .replace('__VERSION__', hash.digest('hex').slice(0, 12))
          .replace("'__SHELL__'", JSON.stringify(shell))
          .replace("'__LATER__'", JSON.stringify(later.filter((name) => !shell.includes(name))));
        this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
      },
    },
  };
}
