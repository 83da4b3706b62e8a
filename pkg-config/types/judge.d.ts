import type { DigitGenerator } from './index.js';

/** The result of the classifier for one image of a digit. */
export interface Reading {
  /** The likeliest digit, 0 to 9. */
  digit: number;
  /** The probability of this digit, 0 to 1. */
  probability: number;
  /** The probabilities of all ten digits, in their order. */
  probabilities: Float32Array;
}

/** Reads handwritten digits; the digit generator is evaluated with it. */
export declare class DigitClassifier {
  private constructor();
  /**
   * Loads it into the core that a generator runs in. If that core's GPU fails, the two are loaded again together, and once the generator was disposed of
   * the classifier alone.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INVALID_WEIGHTS`, `RESOURCE_LIMIT`, `ABORTED`
   */
  static load(generator: DigitGenerator, options?: { signal?: AbortSignal }): Promise<DigitClassifier>;
  /**
   * Reads digits of 28 by 28 grey values, 0 paper and 255 ink, one after the other, such as `Digits.data`. As in MNIST a digit
   * fills 20 by 20 pixels, with its centre of mass in the middle.
   * @throws {PilotlightError} `INVALID_INPUT`, `ABORTED`, `DISPOSED`
   */
  read(digits: Uint8Array, options?: { signal?: AbortSignal }): Promise<Reading[]>;
  /** Frees its memory; the generator can still be used. It never throws. */
  dispose(): void;
}

/** The former name of `DigitClassifier`. */
export { DigitClassifier as DigitJudge };
