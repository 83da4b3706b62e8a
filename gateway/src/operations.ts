/** All operations: the app mounts them, `openapi.json` and the tests of authentication are made from them. */
import type { Operation } from './operation.ts';
import * as adminKeys from './routes/admin-keys.ts';
import * as health from './routes/health.ts';
import * as history from './routes/history.ts';
import * as openapi from './routes/openapi.ts';
import * as usage from './routes/usage.ts';

/** The operations that modules export. */
const of = (...modules: Record<string, unknown>[]) =>
  modules.flatMap((exports) => Object.values(exports).filter((value) => isOperation(value)));

function isOperation(value: unknown): value is Operation {
  return typeof value === 'object' && value !== null && 'handle' in value && 'path' in value && 'scope' in value;
}

export const operations: readonly Operation[] = of(adminKeys, health, history, openapi, usage);
