import type * as Api from '../types/judge.js';
import { abortable, signalOf } from './abort.js';
import { checkObject } from './check.js';
import { coreOf } from './core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { bytesOf, tagOf } from './foreign.js';
import type { DigitClassifierHandle } from './glue.js';
import { Load } from './load.js';
import { ModelHandle } from './model-handle.js';
import { FILE, shippedWeights } from './shipped-weights.js';

/** Only `load` may construct. */
const CONSTRUCT = Symbol('pilotlight');

const PIXELS = 28 * 28;

/** Reads digits, in the core that a generator runs in. */
export class DigitJudge implements Api.DigitJudge {
  readonly #model: ModelHandle<DigitClassifierHandle>;

  private constructor(key: symbol, model: ModelHandle<DigitClassifierHandle>) {
    if (key !== CONSTRUCT)
      throw new PilotlightError('INVALID_INPUT', 'DigitJudge has no constructor: use DigitJudge.load()');
    this.#model = model;
  }

  static async load(generator: object, options: { signal?: AbortSignal } = {}): Promise<DigitJudge> {
    try {
      const signal = signalOf(checkObject('options', options));
      const host = coreOf.get(generator);
      if (!host)
        throw new PilotlightError('INVALID_INPUT', `generator: expected a DigitGenerator, got ${typeof generator}`);
      const weights = await abortable(
        shippedWeights('judge', () => import('./weights/judge.js')),
        signal,
      );
      const load = new Load('digits', {
        device: host.device,
        files: { [FILE]: weights },
        store: false,
        ...(signal && { signal }),
      });
      const handle = await load.run(host.instance, ({ DigitClassifierHandle }, resolved) =>
        DigitClassifierHandle.load(resolved),
      );
      return new DigitJudge(CONSTRUCT, new ModelHandle('DigitJudge', host.instance, handle));
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async read(pictures: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<Api.Reading[]> {
    return this.#model.call(options, async (handle, caller) => {
      const greys = tagOf(pictures) === 'Uint8Array' ? bytesOf(pictures) : undefined;
      if (!greys || greys.length === 0 || greys.length % PIXELS !== 0) {
        const got = greys ? `${greys.length} values` : typeof pictures;
        throw new PilotlightError(
          'INVALID_INPUT',
          `pictures: expected a Uint8Array of 784 grey values for each, got ${got}`,
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
