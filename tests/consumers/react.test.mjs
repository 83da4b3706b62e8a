// `pilotlight/react` under React 18.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { testReact } from '../browser/react-tests.mjs';
import { checkServer } from '../package/support/react-server.mjs';
import { CONSUMERS, makeConsumer, ROOT } from './support/consumer.mjs';

const MODULES = path.join(CONSUMERS, 'node_modules');

testReact(MODULES);

test('a server renders the hooks under React 18, and loads nothing', (t) => {
  const folder = makeConsumer('react');
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['react', 'react-dom', 'loose-envify', 'js-tokens'])
    cpSync(path.join(MODULES, name), path.join(folder, 'node_modules', name), { recursive: true });
  mkdirSync(path.join(folder, 'app'));
  cpSync(path.join(ROOT, 'tests/package/support/render-on-server.mjs'), path.join(folder, 'app/render.mjs'));
  checkServer(folder, '18', 'app/render.mjs');
});
