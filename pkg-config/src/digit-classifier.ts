import type { DigitClassifierHandle } from '#core/cpu.js';
import type * as Api from '../types/judge.js';
import { signalOf } from './calls/abort.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { coreOf } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { bytesOf, tagOf } from './inputs/foreign.js';
import { FILE, shippedWeights } from './inputs/shipped-weights.js';

const PIXELS = 28 * 28;

/** Reads digits, in the core that a generator runs in. */
export class DigitClassifier implements Api.DigitClassifier {
  readonly #model: ModelHandle<DigitClassifierHandle>;

  private constructor(key: symbol, model: ModelHandle<DigitClassifierHandle>) {
    checkConstruct(key, 'DigitClassifier');
    this.#model = model;
  }

  static async load(generator: object, options: { signal?: AbortSignal } = {}): Promise<DigitClassifier> {
    try {
      const signal = signalOf(checkObject('options', options));
      const host = coreOf.get(generator);
      if (!host)
        throw new PilotlightError('INVALID_INPUT', `generator: expected a DigitGenerator, got ${typeof generator}`);
      if (host.isDisposed()) throw new PilotlightError('DISPOSED', 'this DigitGenerator was disposed; load it again');
      const own = await ModelHandle.load<DigitClassifierHandle>({
        name: 'DigitClassifier',
        model: 'digits',
        options: { store: false, ...(signal && { signal }) },
        place: ({ device }) => host.place(device),
        files: async () => ({ [FILE]: await shippedWeights('judge', () => import('#weights/judge.js')) }),
        load: ({ DigitClassifierHandle }, resolved) => DigitClassifierHandle.load(resolved),
      });
      return new DigitClassifier(CONSTRUCT, own);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async read(digits: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Api.Reading[]> {
    return this.#model.call(options, async (handle, caller) => {
      const greys = tagOf(digits) === 'Uint8Array' ? bytesOf(digits) : undefined;
      if (!greys || greys.length === 0 || greys.length % PIXELS !== 0) {
        const got = greys ? `${greys.length} values` : typeof digits;
        throw new PilotlightError(
          'INVALID_INPUT',
          `digits: expected a Uint8Array of 784 grey values for each digit, got ${got}`,
        );
      }
      const all = await handle.read(greys, { ...options, caller });
      return Array.from({ length: all.length / 10 }, (_, i) => readingOf(all.slice(10 * i, 10 * i + 10)));
    });
  }

  dispose(): void {
    this.#model.dispose();
  }
}

function readingOf(probabilities: Float32Array): Api.Reading {
  const probability = Math.max(...probabilities);
  return { digit: probabilities.indexOf(probability), probability, probabilities };
}
