/** All operations: the app mounts them, `openapi.json` and the tests of authentication are made from them. */
import type { Operation } from './operation.ts';
import * as adminKeys from './routes/admin-keys.ts';
import * as batches from './routes/batches.ts';
import * as files from './routes/files.ts';
import * as health from './routes/health.ts';
import * as history from './routes/history.ts';
import * as indexes from './routes/indexes.ts';
import * as openapi from './routes/openapi.ts';
import * as usage from './routes/usage.ts';

/** The operations that modules export. */
const of = (...modules: Record<string, unknown>[]) =>
  modules.flatMap((exports) => Object.values(exports).filter((value) => isOperation(value)));

function isOperation(value: unknown): value is Operation {
  return typeof value === 'object' && value !== null && 'handle' in value && 'path' in value && 'scope' in value;
}

export const operations: readonly Operation[] = of(adminKeys, batches, files, health, history, indexes, openapi, usage);
