import head from '../../../weights/detector/head.json' with { type: 'json' };
import type { DetectorJson } from '../../types/index.js';
import { FORMAT, VERSION } from './json.js';

/** The detector of the package, without its model: training/detector made it, and weights/detector/README.md is its card. */
export const DEFAULT = {
  format: FORMAT,
  version: VERSION,
  features: 'likelihoods',
  model: { model: head.model.repository, commit: head.model.commit, dtype: 'q8' },
  head,
  thresholds: head.thresholds,
  gate: head.gate,
} as const satisfies DetectorJson;
