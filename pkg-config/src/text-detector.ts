import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { abortable, aborted, signalOf } from './calls/abort.js';
import { checkListener, checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { decoderIdentity } from './core/core-of.js';
import { Decoder } from './decoder.js';
import { calibrated, RATES } from './detector/calibration.js';
import { DEFAULT } from './detector/default.js';
import { ClassifierEngine, type Engine, HiddenEngine, LikelihoodEngine, type Scored } from './detector/engines.js';
import { fitted } from './detector/fitted.js';
import { checkHead, checkThresholds, type LinearHead, type Thresholds } from './detector/head.js';
import { compare, FORMAT, hiddenFromJSON, hiddenToJSON, parse, VERSION, wrong } from './detector/json.js';
import { isEnglish } from './detector/language.js';
import { type Normalized, normalize } from './detector/normalize.js';
import type { Reading } from './detector/readers.js';
import { placeOf, sentencesOf } from './detector/sentences.js';
import { detectorClassifier, machineLabelOf } from './detector/sequence.js';
import { checkDecoder, checkTexts } from './detector/texts.js';
import { judge, MIN_TOKENS } from './detector/verdict.js';
import { windowsOf } from './detector/windows.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { models } from './models.js';
import { SequenceClassifier } from './sequence-classifier.js';
import { stored } from './storage/named.js';

/** The state of a detector without its engine. */
interface State {
  thresholds?: Thresholds | undefined;
  /** The largest distance at which a text is like those of the fit, or of the calibration. */
  gate: number;
  /** The model that read the texts of the fit. */
  model: Api.EmbedderIdentity;
  calibration?: Api.Calibration | undefined;
  evaluation?: Api.DetectorEvaluation | undefined;
  notes: readonly string[];
}

/** A text in the form in which it is read. */
interface Prepared extends Normalized {
  original: string;
  isEnglish: boolean;
  isWhole: boolean;
}

/** Says whether a text looks like a machine's. */
export class TextDetector implements Api.TextDetector {
  readonly #engine: Engine;
  #state: State;
  /** The model, where the detector loaded it. */
  #own: Decoder | SequenceClassifier | undefined;
  #disposed = false;
  /** Calls that read with the model. */
  #reading = 0;

  private constructor(key: symbol, engine: Engine, state: State) {
    checkConstruct(key, 'TextDetector');
    this.#engine = engine;
    this.#state = state;
  }

  static async load(model: string = DEFAULT.model.model, options: Api.DetectorLoadOptions = {}): Promise<TextDetector> {
    try {
      const { onPlan, head, machineLabel, ...given } = checkObject('options', options) as Api.DetectorLoadOptions;
      checkModel(model, given);
      // A classifier needs no head, and the plan says whether the model is one.
      const saved = head === undefined && model !== DEFAULT.model.model ? undefined : parse(head ?? DEFAULT);
      // Another model is refused before anything is fetched.
      if (saved) compare({ model }, saved.model);
      if (onPlan !== undefined && typeof onPlan !== 'function')
        throw new PilotlightError('INVALID_INPUT', `onPlan: expected a function, got ${typeof onPlan}`);
      const signal = signalOf(given);
      const load = { ...(saved && asFitted(saved, given.files !== undefined)), ...given };
      const plan = await models.plan(model, load);
      const isClassifier = plan.class === 'SequenceClassifier' && (!saved || saved.features === 'classifier');
      if (!isClassifier && (plan.class !== 'Decoder' || saved?.features === 'classifier')) {
        const expected = saved && (saved.features === 'classifier' ? 'a classifier' : 'a decoder');
        const what = expected ?? 'a decoder or a classifier';
        throw new PilotlightError('UNSUPPORTED_MODEL', `model: expected ${what}, and ${plan.class} loads ${model}`);
      }
      if (!isClassifier && machineLabel !== undefined)
        throw new PilotlightError('INVALID_INPUT', 'machineLabel: a decoder has no labels: leave it out');
      // The head of the package is for one decoder.
      if (!isClassifier && !saved) compare({ model }, DEFAULT.model);
      if ((await abortable(Promise.resolve(onPlan?.(plan)), signal)) === false)
        throw new PilotlightError('ABORTED', `the plan of loading ${model} was refused`);
      const own = isClassifier ? await SequenceClassifier.load(model, load) : await Decoder.load(model, load);
      try {
        const detector =
          own instanceof SequenceClassifier
            ? await TextDetector.#onClassifier(own, saved, machineLabel)
            : await TextDetector.fromJSON(saved ?? DEFAULT, { decoder: own });
        detector.#own = own;
        return detector;
      } catch (error) {
        own.dispose();
        throw error;
      }
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async fit(
    human: readonly string[],
    machine: readonly string[],
    options: Api.DetectorFitOptions,
  ): Promise<TextDetector> {
    try {
      const fit = checkObject('options', options) as Api.DetectorFitOptions;
      const decoder = checkDecoder(fit.decoder);
      signalOf(fit);
      checkListener(fit);
      const { engine, thresholds, evaluation } = await fitted(decoder, human, machine, fit);
      const model = decoderIdentity(decoder);
      return new TextDetector(CONSTRUCT, engine, { thresholds, gate: engine.limit, model, evaluation, notes: [] });
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static fromClassifier(
    classifier: Api.DetectorClassifier,
    { machineLabel = 1 }: { machineLabel?: number } = {},
  ): TextDetector {
    if (typeof Object(classifier).classify !== 'function')
      throw new PilotlightError(
        'INVALID_INPUT',
        `classifier: expected an object that classifies, got ${typeof classifier}`,
      );
    if (!Number.isInteger(machineLabel) || machineLabel < 0)
      throw new PilotlightError('INVALID_INPUT', `machineLabel: expected a whole number, got ${shown(machineLabel)}`);
    const engine = new ClassifierEngine(classifier, machineLabel);
    return new TextDetector(CONSTRUCT, engine, { gate: engine.limit, model: {}, notes: [] });
  }

  static async fromJSON(
    json: string | object,
    options: Api.DetectorModel & { classifier?: Api.DetectorClassifier },
  ): Promise<TextDetector> {
    try {
      const { decoder, classifier } = checkObject('options', options) as typeof options;
      const saved = parse(json);
      const detector =
        saved.features === 'classifier'
          ? TextDetector.fromClassifier(classifier as Api.DetectorClassifier, saved.head)
          : await TextDetector.#onDecoder(checkDecoder(decoder), saved);
      const { calibration, evaluation, gate } = saved;
      const thresholds = saved.thresholds && checkThresholds(saved.thresholds);
      if (gate !== undefined && !(gate > 0)) throw wrong(`gate is ${shown(gate)}, expected a number above 0`);
      if (gate !== undefined) detector.#state.gate = gate;
      Object.assign(detector.#state, { thresholds, ...structuredClone({ calibration, evaluation }) });
      return detector;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async #onClassifier(
    own: SequenceClassifier,
    saved: Api.DetectorJson | undefined,
    machineLabel: unknown,
  ): Promise<TextDetector> {
    const classifier = detectorClassifier(own);
    const detector = saved
      ? await TextDetector.fromJSON(saved, { classifier })
      : TextDetector.fromClassifier(classifier, { machineLabel: machineLabelOf(own.labels, machineLabel) });
    const model = decoderIdentity(own);
    Object.assign(detector.#state, { model, notes: compare(model, saved?.model) });
    return detector;
  }

  static async #onDecoder(decoder: Api.DetectorDecoder, saved: Api.DetectorJson): Promise<TextDetector> {
    const notes = compare(decoderIdentity(decoder), saved.model);
    let engine: Engine;
    if (saved.features === 'likelihoods')
      engine = new LikelihoodEngine(decoder, structuredClone(checkHead(saved.head)));
    else {
      const instance = await cores.cpu.instance();
      const { head, gate, ...made } = await hiddenFromJSON(instance, saved.head);
      engine = new HiddenEngine(decoder, head, gate, { layer: saved.layer, pool: saved.pool ?? 'mean' }, made);
    }
    const state = { gate: engine.limit, model: saved.model ?? {}, notes };
    return new TextDetector(CONSTRUCT, engine, state);
  }

  static async open(
    name: string,
    options: Api.DetectorModel & { classifier?: Api.DetectorClassifier } & Api.StoreOptions,
  ): Promise<TextDetector | undefined> {
    try {
      const instance = await cores.cpu.instance();
      const text = await stored(instance, name, options, ({ loadText }, resolved) =>
        loadText('detector', name, resolved),
      );
      return text === undefined ? undefined : await TextDetector.fromJSON(text, options);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async delete(name: string, options: Api.StoreOptions = {}): Promise<boolean> {
    try {
      const instance = await cores.cpu.instance();
      return await stored(instance, name, options, ({ deleteText }, resolved) =>
        deleteText('detector', name, resolved),
      );
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async save(name: string, options: Api.StoreOptions = {}): Promise<void> {
    try {
      const text = JSON.stringify(this.toJSON());
      const instance = await cores.cpu.instance();
      await stored(instance, name, options, ({ saveText }, resolved) => saveText('detector', name, text, resolved));
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  get version(): string {
    return this.#engine.version;
  }

  get thresholds(): Readonly<Thresholds> | undefined {
    return this.#state.thresholds;
  }

  get calibration(): Api.Calibration | undefined {
    return this.#state.calibration;
  }

  get evaluation(): Api.DetectorEvaluation | undefined {
    return this.#state.evaluation;
  }

  get notes(): readonly string[] {
    return this.#state.notes;
  }

  detect(text: string, options?: Api.DetectorCallOptions): Promise<Api.Detection>;
  detect(texts: readonly string[], options?: Api.DetectorCallOptions): Promise<Api.Detection[]>;
  async detect(
    texts: string | readonly string[],
    options: Api.DetectorCallOptions = {},
  ): Promise<Api.Detection | Api.Detection[]> {
    try {
      const list = checkTexts('texts', typeof texts === 'string' ? [texts] : texts);
      const prepared = list.map(prepare);
      const scores = await this.#scores(prepared, options);
      const detections = prepared.map((one, i) => this.#detection(one, scores[i]));
      return typeof texts === 'string' ? (detections[0] as Api.Detection) : detections;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async calibrate(humanTexts: readonly string[], options: Api.CalibrateOptions = {}): Promise<Api.Calibration> {
    try {
      const { rate } = checkObject('options', options) as Api.CalibrateOptions;
      if (rate !== undefined && !(rate > 0 && rate <= RATES.machine))
        throw new PilotlightError(
          'INVALID_INPUT',
          `rate: expected a share above 0 and up to ${RATES.machine}, got ${shown(rate)}`,
        );
      const given = checkTexts('humanTexts', humanTexts).map(prepare);
      // Copies would count the same evidence twice.
      const prepared = [...new Map(given.map((one) => [one.text, one])).values()];
      const scored = await this.#scores(prepared, options);
      const kept = scored.flatMap((one) => (one?.score !== undefined && one.tokens >= MIN_TOKENS ? [one] : []));
      const own = kept.map(({ score }) => score as number);
      const distances = this.#engine.kind === 'classifier' ? [] : kept.map(({ distance }) => distance);
      const { thresholds, gate, report } = calibrated(own, distances, given.length, {
        rate,
        floor: this.#engine.floor,
      });
      this.#check();
      // Texts that are like those of the fit stay so.
      const wide = Math.max(this.#engine.limit, gate ?? 0);
      this.#state = { ...this.#state, thresholds, gate: wide, calibration: report };
      return report;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  toJSON(): Api.DetectorJson {
    this.#check();
    const { thresholds, model, calibration, evaluation, gate } = this.#state;
    const engine = this.#engine;
    const isHidden = engine instanceof HiddenEngine;
    return {
      format: FORMAT,
      version: VERSION,
      features: engine.kind,
      ...(Object.keys(model).length > 0 && { model: { ...model } }),
      ...(isHidden && engine.pooling.layer !== undefined && { layer: engine.pooling.layer }),
      ...(isHidden && { pool: engine.pooling.pool }),
      head: headOf(engine),
      ...(thresholds && { thresholds: { ...thresholds } }),
      ...(Number.isFinite(gate) && { gate }),
      ...structuredClone({ ...(calibration && { calibration }), ...(evaluation && { evaluation }) }),
    };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#reading === 0) this.#free();
  }

  #free(): void {
    this.#engine.free();
    this.#own?.dispose();
  }

  #check(): void {
    if (this.#disposed) throw new PilotlightError('DISPOSED', 'this TextDetector was disposed; make it again');
  }

  /** Scores the texts that can be read; `undefined` for the others. */
  async #scores(prepared: readonly Prepared[], options: Api.DetectorCallOptions): Promise<(Scored | undefined)[]> {
    this.#check();
    const signal = signalOf(checkObject('options', options));
    if (signal?.aborted) throw aborted(signal);
    checkListener(options);
    const { onProgress } = options;
    const reading: Reading = {
      signal,
      onProgress: onProgress && ((loaded, total) => onProgress({ status: 'read', loaded, total })),
    };
    const readable = prepared.filter(({ text, isEnglish }) => text !== '' && isEnglish);
    const scored = await this.#read(
      readable.map(({ text }) => text),
      reading,
    );
    const byText = new Map(readable.map((one, i) => [one, scored[i]]));
    return prepared.map((one) => byText.get(one));
  }

  /** Scores texts; the memory of a detector that is disposed of meanwhile is freed after that. */
  async #read(texts: readonly string[], reading: Reading): Promise<Scored[]> {
    this.#reading += 1;
    try {
      return await this.#engine.score(texts, reading);
    } finally {
      this.#reading -= 1;
      if (this.#disposed && this.#reading === 0) this.#free();
    }
  }

  #detection(prepared: Prepared, scored: Scored | undefined): Api.Detection {
    const { thresholds, gate, calibration, evaluation } = this.#state;
    const worth = (calibration ?? evaluation)?.falseAlarms;
    const { text, original, isEnglish, isWhole } = prepared;
    const { score, tokens = 0, distance = 0, features, aspects, contributions } = scored ?? {};
    const judgement = judge({
      ...(score !== undefined && { score }),
      ...(thresholds && { thresholds }),
      tokens,
      isEmpty: text === '',
      isEnglish,
      isNear: distance <= gate,
      isWhole,
      isCut: scored?.isCut ?? false,
      ...(worth !== undefined && { worth }),
      ...(calibration && { own: calibration.texts }),
      ...(aspects && { aspects }),
    });
    const spans = contributions ? sentencesOf(text) : [];
    const parts = contributions?.(spans) ?? [];
    return {
      ...judgement,
      ...(score !== undefined && { score }),
      ...(thresholds && { threshold: thresholds.machine }),
      tokens,
      ...(features && { features }),
      sentences: spans.map((span, i) => ({
        ...placeOf(span, prepared, original, isWhole),
        contribution: parts[i] ?? 0,
      })),
      head: this.#engine.version,
    };
  }
}

/** The characters of a text that are looked at: five times as many as are ever read, white space and the invisible included. */
const MAX_LENGTH = 200_000;

/** Normalizes a text, and leaves out what is beyond the windows. */
function prepare(original: string): Prepared {
  const { text, origins } = normalize(original.slice(0, MAX_LENGTH));
  const { windows, isWhole } = windowsOf(text);
  const read = text.slice(0, windows.at(-1)?.end ?? 0);
  return {
    original,
    text: read,
    origins,
    isEnglish: isEnglish(read),
    isWhole: isWhole && original.length <= MAX_LENGTH,
  };
}

function headOf(engine: Engine): object {
  if (engine instanceof LikelihoodEngine) return structuredClone(engine.head);
  if (engine instanceof HiddenEngine) return hiddenToJSON(engine);
  return { machineLabel: (engine as ClassifierEngine).machineLabel };
}

/** Returns load options for the model that a head was fitted with: its commit and file, and the device and dtype of the head's measurements. */
function asFitted({ features, model, head }: Api.DetectorJson, hasFiles: boolean): Api.DecoderLoadOptions {
  const { file } = (head as Partial<LinearHead>).model ?? {};
  return {
    ...(!hasFiles && model?.commit !== undefined && { revision: model.commit }),
    ...(!hasFiles && file !== undefined && { weights: file }),
    ...(features !== 'classifier' && { device: 'cpu' }),
    ...(features !== 'classifier' && model?.dtype !== undefined && { dtype: model.dtype as Api.Dtype }),
  };
}
