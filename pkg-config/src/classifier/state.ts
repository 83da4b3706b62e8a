import type { EmbedderIdentity, HeadOptions } from '../../types/index.js';

/** The state of a classifier without its head: labels, examples, options and the identity of its embedder. */
export interface State {
  labels: string[];
  /** The texts of the examples, label texts included; empty strings where vectors came without them. */
  texts: string[];
  classes: Uint32Array;
  labelTexts: Uint8Array;
  options: HeadOptions;
  unknown: number;
  /** The scores under which a label is not answered, instead of the one that `unknown` stands for. */
  thresholds: Record<string, number>;
  /** The embedder that made the vectors. */
  source: EmbedderIdentity;
}
