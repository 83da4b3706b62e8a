/** The gateway as a Cloudflare Worker, for models of text: `wrangler.jsonc` has its bindings. */
import { textLoaders } from '../models/local/text.ts';
import { createWorker } from './worker.ts';

export { KeyMeter } from '../parts/key-meter.ts';
export { Metrics } from '../parts/metrics-object.ts';

export default createWorker(textLoaders);
