import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'vite';

const MODEL = 'pilotlight/tiny-clip';
const WANTED = /^(config|preprocessor_config|tokenizer)\.json$|\.safetensors$/;

/**
 * Writes the tiny CLIP beside the page, under `models/`, as a model host serves it: its files, and the answers of a hub that list them.
 * Its revision is a digest of its files, so that the page loads exactly the weights that it was built with. `__TINY_CLIP__` holds the
 * names of the model and the revision.
 */
export function tinyClip(folder: string): Plugin {
  const files = readdirSync(folder)
    .filter((name) => WANTED.test(name))
    .sort()
    .map((name) => ({ name, bytes: readFileSync(path.join(folder, name)) }));
  if (!files.some(({ name }) => name.endsWith('.safetensors'))) throw new Error(`${folder} has no weights`);
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const revision = sha256(Buffer.from(files.map(({ name, bytes }) => `${name} ${sha256(bytes)}`).join('\n'))).slice(
    0,
    40,
  );
  const rows = files.map(({ name, bytes }) => ({
    type: 'file',
    path: name,
    size: bytes.length,
    lfs: { oid: sha256(bytes) },
  }));
  const answers = new Map<string, Uint8Array | string>([
    [`models/api/models/${MODEL}/revision/${revision}`, JSON.stringify({ sha: revision })],
    [`models/api/models/${MODEL}/tree/${revision}`, JSON.stringify(rows)],
    ...files.map(({ name, bytes }) => [`models/${MODEL}/resolve/${revision}/${name}`, bytes] as const),
  ]);

  return {
    name: 'tiny-clip',
    config: () => ({ define: { __TINY_CLIP__: JSON.stringify({ model: MODEL, revision }) } }),
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const answer = answers.get(request.url?.split('?')[0]?.slice(1) ?? '');
        if (answer === undefined) return next();
        response.setHeader('Content-Type', 'application/octet-stream');
        response.end(answer);
      });
    },
    generateBundle() {
      for (const [fileName, source] of answers) this.emitFile({ type: 'asset', fileName, source });
    },
  };
}
