/** What a decoder predicted at each token of a text. The first token is predicted from the separator that is put before the text. */
export interface Likelihoods {
  /** The index in the text, in UTF-16 units, of each token's first character. */
  starts: Uint32Array;
  /** The natural logarithm of each token's probability. */
  logProbabilities: Float32Array;
  /** The entropy of each prediction, in nats. */
  entropies: Float32Array;
  /** The variance of the logarithm of the probability under each prediction. */
  variances: Float32Array;
  /** The rank of each token in its prediction; 1 is the most likely one. */
  ranks: Uint32Array;
  /** Whether the text was longer than the number of tokens that was asked for, and was cut. */
  truncated: boolean;
}
