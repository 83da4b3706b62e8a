import type { DigitGeneratorHandle } from '#core/cpu.js';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { Load } from './calls/load.js';
import { ModelHandle } from './calls/model-handle.js';
import { coreOf } from './core/core-of.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { type DigitRequests, generateRequests, morphRequests } from './inputs/digit-requests.js';
import { FILE, shippedWeights } from './inputs/shipped-weights.js';
import { Digits, type Drawn } from './outputs/digits.js';
import { choosePlace } from './worker/beside.js';

/** Draws digits: a model in a core, with its queue. */
export class DigitGenerator implements Api.DigitGenerator {
  readonly backend: Api.BackendReport;
  readonly #model: ModelHandle<DigitGeneratorHandle>;

  constructor(key: symbol, model: ModelHandle<DigitGeneratorHandle>, backend: Api.BackendReport) {
    checkConstruct(key, 'DigitGenerator');
    this.#model = model;
    this.backend = backend;
    coreOf.set(this, { instance: model.instance, device: backend.device, isDisposed: () => model.isDisposed });
  }

  static async load(options: Api.DigitLoadOptions = {}): Promise<DigitGenerator> {
    try {
      const signal = signalOf(checkObject('options', options));
      const { device, weights, onProgress } = options;
      const { worker } = options;
      const placing = choosePlace({
        device: device ?? 'cpu',
        // The weights are kept as int8 and computed with in f32.
        dtype: 'f32',
        ...(worker !== undefined && { worker }),
        ...(signal && { signal }),
        ...(onProgress && { onProgress }),
      });
      const fetching = Promise.resolve(weights ?? shippedWeights('generator', () => import('#weights/generator.js')));
      void fetching.catch(async () => (await placing).instance.abandon()).catch(() => {});
      const [{ instance, report }, bytes] = await abortable(Promise.all([placing, fetching]), signal);
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
      return new DigitGenerator(CONSTRUCT, new ModelHandle('DigitGenerator', instance, handle), {
        ...report,
        reason,
      });
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
