// `pilotlight/react` on a server, and in bundles; tests/browser/react.test.mjs has what it does in a page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build } from 'esbuild';
import { ROOT } from './support/models.mjs';
import { checkServer } from './support/react-server.mjs';

test('a server renders the hooks under React 19, and loads nothing', () => {
  checkServer(ROOT, '19', 'tests/package/support/render-on-server.mjs');
});

test('a bundle has the classes of the hooks that are used, and of no others', async () => {
  const classes = {
    TextEmbedder: 'useTextEmbedder',
    ImageTextEmbedder: 'useImageTextEmbedder',
    DigitGenerator: 'useDigitGenerator',
    VectorIndex: 'useVectorIndex',
  };
  for (const used of [...Object.values(classes), 'useSearch']) {
    const contents = `import { ${used} } from 'pilotlight/react'; console.log(${used});`;
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: ROOT },
      bundle: true,
      write: false,
      format: 'esm',
      external: ['./core/*', './weights/*', 'react'],
    });
    const [{ text }] = outputFiles;
    const found = Object.keys(classes).filter((name) => text.includes(`checkConstruct(key, "${name}"`));
    assert.deepEqual(
      found,
      Object.keys(classes).filter((name) => classes[name] === used),
      used,
    );
  }
});
