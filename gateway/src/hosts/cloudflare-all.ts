/** The gateway as a Cloudflare Worker with the code of all models: images, digits and detectors make the script larger. */
import { allLoaders } from '../models/local/all.ts';
import { createWorker } from './worker.ts';

export { KeyMeter } from '../parts/key-meter.ts';
export { Metrics } from '../parts/metrics-object.ts';

export default createWorker(allLoaders);
