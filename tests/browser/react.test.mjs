// `pilotlight/react` under React 19; `make test-consumers` runs the same tests under React 18.
import { fileURLToPath } from 'node:url';
import { testReact } from './react-tests.mjs';

testReact(fileURLToPath(new URL('../../node_modules', import.meta.url)));
