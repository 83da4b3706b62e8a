import type { DigitGeneratorHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { coreOf } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { type DigitRequests, generateRequests, morphRequests } from './inputs/digit-requests.js';
import { FILE, shippedWeights } from './inputs/shipped-weights.js';
import { Digits, type Drawn } from './outputs/digits.js';
import { choosePlace } from './worker/beside.js';

const CPU_IS_FASTER = 'The CPU was taken because it draws a digit in less time than the WebGPU code takes to arrive.';

/** Whether a program leaves the choice of the device to this class. */
const isFree = (device: Api.Device | undefined): device is 'auto' | undefined =>
  device === undefined || device === 'auto';

/** Draws digits: a model in a core, with its queue. */
export class DigitGenerator implements Api.DigitGenerator {
  readonly #model: ModelHandle<DigitGeneratorHandle>;

  constructor(key: symbol, model: ModelHandle<DigitGeneratorHandle>) {
    checkConstruct(key, 'DigitGenerator');
    this.#model = model;
    coreOf.set(this, { place: (device) => model.place(device), isDisposed: () => model.isDisposed });
  }

  static async load(options: Api.DigitLoadOptions = {}): Promise<DigitGenerator> {
    try {
      const signal = signalOf(checkObject('options', options));
      const { device, weights, worker, onProgress } = options;
      const own = await ModelHandle.load<DigitGeneratorHandle>({
        name: 'DigitGenerator',
        model: 'digits',
        options: {
          device: isFree(device) ? 'cpu' : device,
          // The weights are kept as int8 and computed with in f32.
          dtype: 'f32',
          store: false,
          ...(worker !== undefined && { worker }),
          ...(weights !== undefined && { files: { [FILE]: weights } }),
          ...(signal && { signal }),
          ...(onProgress && { onProgress }),
        },
        async place(given) {
          const { instance, report } = await choosePlace(given);
          const reason = isFree(device) ? CPU_IS_FASTER : report.reason;
          return { instance, report: { ...report, reason } };
        },
        async files() {
          const bytes = await (weights ?? shippedWeights('generator', () => import('#weights/generator.js')));
          return { [FILE]: bytes };
        },
        load: ({ DigitGeneratorHandle }, resolved) => DigitGeneratorHandle.load(resolved),
      });
      return new DigitGenerator(CONSTRUCT, own);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async generate(options: Api.GenerateOptions): Promise<Digits> {
    return this.#draw(options, () => generateRequests(options));
  }

  async morph(options: Api.MorphOptions): Promise<Digits> {
    return this.#draw(options, () => morphRequests(options));
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }

  async #draw(options: Api.DrawOptions, request: () => DigitRequests): Promise<Digits> {
    return this.#model.call(options, async (handle, caller) => {
      const { numbers, ...drawn } = request();
      const { steps, guidance, signal, onStep } = options;
      const shown = onStep && stepListener(onStep, drawn);
      return new Digits(await handle.generate(numbers, { steps, guidance, signal, onStep: shown, caller }), drawn);
    });
  }
}

function stepListener(onStep: unknown, drawn: Drawn): (step: number, steps: number, data: Uint8Array) => void {
  if (typeof onStep !== 'function')
    throw new PilotlightError('INVALID_INPUT', `onStep: expected a function, got ${typeof onStep}`);
  return (step, steps, data) => void onStep({ step, steps, digits: new Digits(data, drawn) } satisfies Api.DrawStep);
}
