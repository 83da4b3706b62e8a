import type * as Api from '../types/index.js';
import { abortable, signalOf } from './abort.js';
import { type Cores, chooseBackend } from './backend.js';
import { checkObject } from './check.js';
import { coreOf } from './core-of.js';
import { type DigitRequests, sketchesBetween, sketchesOf } from './digit-requests.js';
import { Digits, type Drawn } from './digits.js';
import { PilotlightError, toPilotlightError } from './error.js';
import type { DigitGeneratorHandle } from './glue.js';
import { Load } from './load.js';
import { ModelHandle } from './model-handle.js';
import { FILE, shippedWeights } from './shipped-weights.js';

/** Only `load` may construct. */
const CONSTRUCT = Symbol('pilotlight');

/** The `DigitGenerator` class over the cores of one runtime. */
export function digitGeneratorOn(cores: Cores): typeof Api.DigitGenerator {
  class DigitGenerator {
    readonly backend: Api.BackendReport;
    readonly #model: ModelHandle<DigitGeneratorHandle>;

    constructor(key: symbol, model: ModelHandle<DigitGeneratorHandle>, backend: Api.BackendReport) {
      if (key !== CONSTRUCT)
        throw new PilotlightError('INVALID_INPUT', 'DigitGenerator has no constructor: use DigitGenerator.load()');
      this.#model = model;
      this.backend = backend;
      coreOf.set(this, { instance: model.instance, device: backend.device });
    }

    static async load(options: Api.DigitLoadOptions = {}): Promise<DigitGenerator> {
      try {
        const signal = signalOf(checkObject('options', options));
        const { device, weights, onProgress } = options;
        const [{ instance, report }, bytes] = await abortable(
          Promise.all([
            chooseBackend(cores, { device: device ?? 'cpu' }),
            weights ?? shippedWeights('generator', () => import('./weights/generator.js')),
          ]),
          signal,
        );
        const load = new Load('digits', {
          device: report.device,
          files: { [FILE]: bytes },
          store: false,
          ...(signal && { signal }),
          ...(onProgress && { onProgress }),
        });
        const handle = await load.run(instance, ({ DigitGeneratorHandle }, resolved) =>
          DigitGeneratorHandle.load(resolved),
        );
        const reason =
          device === undefined
            ? 'The CPU was taken because it draws a digit in less time than the WebGPU code takes to arrive.'
            : report.reason;
        // The weights are kept as int8 and computed with in f32.
        return new DigitGenerator(CONSTRUCT, new ModelHandle('DigitGenerator', instance, handle), {
          ...report,
          dtype: 'f32',
          reason,
        });
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    async generate(options: Api.GenerateOptions): Promise<Digits> {
      return this.#draw(options, () => sketchesOf(options));
    }

    async morph(options: Api.MorphOptions): Promise<Digits> {
      return this.#draw(options, () => sketchesBetween(options));
    }

    dispose(): void {
      this.#model.dispose();
    }

    async #draw(options: Api.DrawOptions, sketch: () => DigitRequests): Promise<Digits> {
      return this.#model.call(options, async (handle, caller) => {
        const { numbers, ...drawn } = sketch();
        const { steps, guidance, signal, onStep } = options;
        const shown = onStep && stepListener(onStep, drawn);
        return new Digits(await handle.generate(numbers, { steps, guidance, signal, onStep: shown, caller }), drawn);
      });
    }
  }
  return DigitGenerator as unknown as typeof Api.DigitGenerator;
}

function stepListener(onStep: unknown, drawn: Drawn): (step: number, steps: number, data: Uint8Array) => void {
  if (typeof onStep !== 'function')
    throw new PilotlightError('INVALID_INPUT', `onStep: expected a function, got ${typeof onStep}`);
  return (step, steps, data) => void onStep({ step, steps, digits: new Digits(data, drawn) } satisfies Api.DrawStep);
}
