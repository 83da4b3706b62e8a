/** All operations: the app mounts them, `openapi.json` and the tests of authentication are made from them. */
import type { Operation } from './operation.ts';
import * as adminKeys from './routes/admin-keys.ts';
import * as batches from './routes/batches.ts';
import * as classify from './routes/classify.ts';
import * as detect from './routes/detect.ts';
import * as digits from './routes/digits.ts';
import * as embeddings from './routes/embeddings.ts';
import * as files from './routes/files.ts';
import * as heads from './routes/heads.ts';
import * as health from './routes/health.ts';
import * as history from './routes/history.ts';
import * as images from './routes/images.ts';
import * as indexes from './routes/indexes.ts';
import * as models from './routes/models.ts';
import * as ollama from './routes/ollama.ts';
import * as openapi from './routes/openapi.ts';
import * as rerank from './routes/rerank.ts';
import * as route from './routes/route.ts';
import * as similarity from './routes/similarity.ts';
import * as usage from './routes/usage.ts';

/** The operations that modules export. */
const of = (...modules: Record<string, unknown>[]) =>
  modules.flatMap((exports) => Object.values(exports).filter((value) => isOperation(value)));

function isOperation(value: unknown): value is Operation {
  return typeof value === 'object' && value !== null && 'handle' in value && 'path' in value && 'scope' in value;
}

export const operations: readonly Operation[] = of(
  adminKeys,
  batches,
  classify,
  detect,
  digits,
  embeddings,
  files,
  heads,
  health,
  history,
  images,
  indexes,
  models,
  ollama,
  openapi,
  rerank,
  route,
  similarity,
  usage,
);
