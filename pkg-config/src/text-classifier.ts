import type { ClassifierHandle } from '#core/cpu.js';
import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { aborted, signalOf } from './calls/abort.js';
import { CallQueue } from './calls/call-queue.js';
import { Caller } from './calls/caller.js';
import { checkListener, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { answerOf, FIELDS, reportOf } from './classifier/answers.js';
import { examplesOf } from './classifier/examples.js';
import { compare, compareVectors, FORMAT, parse, VERSION } from './classifier/json.js';
import { checkEmbedder, checkRate, checkThresholds, headOptions } from './classifier/options.js';
import type { State } from './classifier/state.js';
import {
  type Asking,
  byCodeUnit,
  checkLabels,
  classesOf,
  embed,
  embedded,
  joined,
  vectorsOf,
  withLabelTexts,
} from './classifier/vectors.js';
import { identityOf } from './core/core-of.js';
import type { CoreInstance } from './core/instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { SequenceClassifier } from './sequence-classifier.js';
import { stored } from './storage/named.js';

const BLIND =
  'There are too few examples to find the score that `unknown` stands for, so no text is refused: 10 at least are needed, in labels of two and more.';

/** Classifies texts by a head on an embedder's vectors. */
export class TextClassifier implements Api.TextClassifier {
  readonly #embedder: Api.Embedder;
  readonly #instance: CoreInstance;
  #handle: ClassifierHandle;
  #state: State;
  readonly #adding = new CallQueue();
  #disposed = false;
  /** The differences between the embedder and the one that the classifier was fitted with. */
  #differences: readonly string[];
  #isBlind: boolean;

  private constructor(
    key: symbol,
    embedder: Api.Embedder,
    instance: CoreInstance,
    handle: ClassifierHandle,
    state: State,
    differences: readonly string[] = [],
  ) {
    checkConstruct(key, 'TextClassifier', 'fit(), fromJSON() or open()');
    this.#embedder = embedder;
    this.#instance = instance;
    this.#handle = handle;
    this.#state = state;
    this.#differences = differences;
    this.#isBlind = isBlind(instance, handle, state);
  }

  static load(model: string, options?: Api.LoadOptions): Promise<SequenceClassifier> {
    return SequenceClassifier.load(model, options);
  }

  static async fit(
    embedder: Api.Embedder,
    examples: Api.ClassifierExamples,
    options: Api.FitOptions = {},
  ): Promise<TextClassifier> {
    try {
      const fit = checkObject('options', options) as Api.FitOptions;
      const { unknown = 0, thresholds = {}, prompt } = fit;
      checkEmbedder(embedder);
      checkRate(unknown);
      checkListener(fit);
      const given = await withLabelTexts(await vectorsOf(embedder, examplesOf(examples), options), embedder, options);
      const instance = await cores.cpu.instance();
      const source = identityWith(embedder, prompt);
      const state = {
        ...given,
        options: headOptions(fit),
        unknown,
        thresholds: checkThresholds(thresholds, given.labels),
        source,
      };
      const handle = await fitted(instance, embedder, state, given.vectors, options);
      return new TextClassifier(CONSTRUCT, embedder, instance, handle, state);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async fromJSON(
    embedder: Api.Embedder,
    json: string | object,
    options: Api.ImportOptions = {},
  ): Promise<TextClassifier> {
    try {
      checkEmbedder(embedder);
      const { prompt, refit = false } = checkObject('options', options) as Api.ImportOptions;
      checkListener(options);
      const saved = parse(json);
      const differences = compare(embedder, saved.embedder, prompt);
      const { labels, head, examples, heldOut, texts = [], labelTexts = [], unknown = 0 } = saved;
      checkRate(unknown);
      const thresholds = checkThresholds(saved.thresholds ?? {}, labels);
      const instance = await cores.cpu.instance();
      const own = { classCount: labels.length, head, examples, heldOut };
      const handle = await instance.run(({ ClassifierHandle }) => ClassifierHandle.fromJSON(own));
      const classes = Uint32Array.from(examples?.classes ?? []);
      const state: State = {
        labels: [...labels],
        // Both have an entry for each example, so that `add` can append.
        texts: Array.from(classes, (_, i) => texts[i] ?? ''),
        classes,
        labelTexts: Uint8Array.from(classes, (_, i) => labelTexts[i] ?? 0),
        options: headOptions(saved.options ?? {}),
        unknown,
        thresholds,
        source: saved.embedder ? { ...saved.embedder } : identityWith(embedder, prompt),
      };
      const classifier = new TextClassifier(CONSTRUCT, embedder, instance, handle, state, differences);
      try {
        await classifier.#checkVectors(options.signal);
        if (refit) await classifier.#refit(options);
      } catch (error) {
        classifier.dispose();
        throw error;
      }
      return classifier;
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async open(
    embedder: Api.Embedder,
    name: string,
    options: Api.ImportOptions & Api.StoreOptions = {},
  ): Promise<TextClassifier | undefined> {
    try {
      checkEmbedder(embedder);
      const instance = await cores.cpu.instance();
      const text = await stored(instance, name, options, ({ loadText }, resolved) =>
        loadText('classifier', name, resolved),
      );
      return text === undefined ? undefined : await TextClassifier.fromJSON(embedder, text, options);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async delete(name: string, options: Api.StoreOptions = {}): Promise<boolean> {
    try {
      const instance = await cores.cpu.instance();
      return await stored(instance, name, options, ({ deleteText }, resolved) =>
        deleteText('classifier', name, resolved),
      );
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async save(name: string, options: Api.StoreOptions = {}): Promise<void> {
    const text = textOf(this.toJSON());
    await stored(this.#instance, name, options, ({ saveText }, resolved) =>
      saveText('classifier', name, text, resolved),
    );
  }

  get labels(): readonly string[] {
    return this.#state.labels;
  }

  get thresholds(): Readonly<Record<string, number>> {
    return this.#state.thresholds;
  }

  set thresholds(thresholds: Readonly<Record<string, number>>) {
    this.#check();
    this.#state = { ...this.#state, thresholds: checkThresholds(thresholds, this.#state.labels) };
  }

  get notes(): readonly string[] {
    return this.#isBlind ? [...this.#differences, BLIND] : this.#differences;
  }

  get size(): number {
    return this.#state.classes.length;
  }

  async classify(
    texts: string | readonly string[],
    options: Api.TextClassifyOptions = {},
  ): Promise<Api.Classification[]> {
    try {
      this.#check();
      const {
        topK = 3,
        unknown = this.#state.unknown,
        signal,
      } = checkObject('options', options) as Api.TextClassifyOptions;
      if (!Number.isInteger(topK) || topK < 1)
        throw new PilotlightError('INVALID_INPUT', `topK: expected a whole number from 1, got ${shown(topK)}`);
      checkRate(unknown);
      const vectors = await embed(this.#embedder, texts, this.#asking({ signal }));
      const { dimensions } = this.#embedder;
      const { state, answers, threshold } = await work(this.#instance, options, async (_, caller) => {
        this.#check();
        // `add` may bring another head meanwhile: threshold and labels are those of the head that answers.
        const [handle, state] = [this.#handle, this.#state];
        const threshold = unknown > 0 ? handle.threshold(unknown) : undefined;
        const call = { ...(signal && { signal }), caller };
        return { state, threshold, answers: await handle.classify(vectors, dimensions, call) };
      });
      const width = FIELDS + state.labels.length;
      return Array.from({ length: vectors.length / dimensions }, (_, row) =>
        answerOf(answers.subarray(row * width, (row + 1) * width), state, topK, threshold),
      );
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async evaluate(
    examples: Api.ClassifierExamples | { folds: number },
    options: Api.CallOptions = {},
  ): Promise<Api.ClassifierEvaluation> {
    try {
      this.#check();
      const asking = this.#asking(checkObject('options', options));
      checkListener(options);
      if ('folds' in Object(examples)) return await this.#validate((examples as { folds: number }).folds, options);
      const listed = examplesOf(examples as Api.ClassifierExamples);
      checkLabels(listed.labels, this.#state.labels);
      const given = await vectorsOf(this.#embedder, listed, asking);
      // `add` may bring another head with other labels meanwhile, so the classes are those of the head that is asked.
      return await work(this.#instance, options, async (_, caller) => {
        this.#check();
        const [handle, { labels }] = [this.#handle, this.#state];
        const { signal } = options;
        const call = { ...(signal && { signal }), caller };
        const { dimensions } = this.#embedder;
        const report = await handle.evaluate(given.vectors, dimensions, classesOf(given, labels), call);
        return reportOf(report, labels, given.texts);
      });
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async #validate(folds: number, options: Api.CallOptions): Promise<Api.ClassifierEvaluation> {
    if (folds !== 5) throw new PilotlightError('INVALID_INPUT', `folds: expected 5, got ${shown(folds)}`);
    const { state, vectors } = await this.#kept();
    const request = requestOf(state, this.#embedder, vectors);
    const report = await work(this.#instance, options, (glue, caller) =>
      glue.ClassifierHandle.crossValidate({ ...request, ...listener(options), caller }),
    );
    return reportOf(report, state.labels, state.texts);
  }

  async add(examples: Api.ClassifierExamples, options: Api.CallOptions = {}): Promise<void> {
    try {
      // One after the other, or a second call would lose the examples of the first.
      const signal = signalOf(checkObject('options', options));
      checkListener(options);
      await this.#adding.run(() => this.#add(examples, options), signal);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async #add(examples: Api.ClassifierExamples, options: Api.CallOptions): Promise<void> {
    this.#check();
    const { state: former, vectors } = await this.#kept();
    const given = await vectorsOf(this.#embedder, examplesOf(examples), this.#asking(options));
    const labels = [...new Set([...former.labels, ...given.labels])].sort(byCodeUnit);
    const state: State = {
      ...former,
      labels,
      texts: [...former.texts, ...given.texts],
      classes: Uint32Array.from([...classesOf(former, labels), ...classesOf(given, labels)]),
      labelTexts: Uint8Array.from([...former.labelTexts, ...given.labelTexts]),
    };
    await this.#fit(state, joined(vectors, given.vectors), options);
  }

  /** Replaces the head by one that is fitted to vectors of this state's examples. */
  async #fit(state: State, vectors: Float32Array, options: Api.CallOptions): Promise<void> {
    const handle = await fitted(this.#instance, this.#embedder, state, vectors, options);
    if (this.#disposed) {
      await this.#instance.run(() => handle.free());
      this.#check();
    }
    const old = this.#handle;
    this.#handle = handle;
    // The thresholds may have been set meanwhile.
    this.#state = { ...state, thresholds: this.#state.thresholds };
    this.#isBlind = isBlind(this.#instance, handle, state);
    await this.#instance.run(() => old.free());
  }

  /** Embeds the examples by the embedder at hand, and fits to these vectors. */
  async #refit(options: Api.CallOptions): Promise<void> {
    const { texts, classes } = this.#state;
    if (classes.length === 0 || texts.length !== classes.length || texts.some((text) => text === ''))
      throw new PilotlightError('INVALID_INPUT', 'refit: the JSON does not have the texts of all examples');
    const asking = this.#asking(options);
    const vectors = await embedded(this.#embedder, texts, asking);
    await this.#fit({ ...this.#state, source: identityWith(this.#embedder, asking.prompt) }, vectors, options);
    this.#differences = [];
  }

  /** Refuses an embedder whose vectors are not like those of the JSON. */
  async #checkVectors(signal: AbortSignal | undefined): Promise<void> {
    const { dimensions } = this.#handle;
    if (dimensions !== undefined && dimensions !== this.#embedder.dimensions) {
      const got = `its vectors have ${this.#embedder.dimensions} values`;
      throw new PilotlightError('INVALID_INPUT', `embedder: ${got}, expected ${dimensions}`);
    }
    const example = this.#state.texts.findIndex((text) => text.trim() !== '');
    // If the model is known and nothing differs, the vectors are the same.
    const isSame = this.#differences.length === 0 && identityOf(this.#embedder).model !== undefined;
    if (isSame || example < 0 || dimensions === undefined) return;
    const text = this.#state.texts[example] ?? '';
    const vector = await embed(this.#embedder, [text], this.#asking({ signal }));
    const { vectors } = await this.#kept();
    compareVectors(text, vectors.subarray(example * dimensions, (example + 1) * dimensions), vector);
  }

  toJSON(): Api.ClassifierJson {
    this.#check();
    const { labels, texts, labelTexts, options, unknown, thresholds, source } = this.#state;
    const { classCount: _, ...own } = this.#instance.now(() => this.#handle.toJSON());
    return {
      format: FORMAT,
      version: VERSION,
      labels: [...labels],
      embedder: { ...source },
      unknown,
      ...(Object.keys(thresholds).length > 0 && { thresholds: { ...thresholds } }),
      options: { ...options },
      ...(own.examples && { texts: [...texts], labelTexts: Array.from(labelTexts) }),
      ...own,
    };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    void this.#instance.run(() => this.#handle.free()).catch(() => {});
  }

  #check(): void {
    if (this.#disposed) throw new PilotlightError('DISPOSED', 'this TextClassifier was disposed; make it again');
  }

  #run<T>(call: (handle: ClassifierHandle) => T): Promise<T> {
    this.#check();
    return this.#instance.run(() => call(this.#handle));
  }

  /** The examples with their vectors. */
  async #kept(): Promise<{ state: State; vectors: Float32Array }> {
    const { state, vectors } = await this.#run((handle) => ({ state: this.#state, vectors: handle.vectors() }));
    if (vectors) return { state, vectors };
    throw new PilotlightError(
      'INVALID_INPUT',
      'this TextClassifier was imported without examples, so it cannot be fitted',
    );
  }

  /** Returns the options with which texts are embedded: the caller's, and the prompt of the examples. */
  #asking(options: { [Name in keyof Api.CallOptions]: Api.CallOptions[Name] | undefined }): Asking {
    const { signal, onProgress } = options;
    const { prompt } = this.#state.source;
    return { ...(prompt !== undefined && { prompt }), ...(signal && { signal }), ...(onProgress && { onProgress }) };
  }
}

/** Whether the score that `unknown` stands for cannot be found. */
const isBlind = (instance: CoreInstance, handle: ClassifierHandle, { unknown }: State): boolean =>
  unknown > 0 && instance.now(() => handle.threshold(unknown)) === undefined;

function requestOf(
  { options, classes, labels, labelTexts }: State,
  embedder: Api.Embedder,
  vectors: Float32Array,
): object {
  return { ...options, vectors, dimensions: embedder.dimensions, classes, classCount: labels.length, labelTexts };
}

/** Fits a head to vectors in a core. */
function fitted(
  instance: CoreInstance,
  embedder: Api.Embedder,
  state: State,
  vectors: Float32Array,
  options: Api.CallOptions,
): Promise<ClassifierHandle> {
  const request = requestOf(state, embedder, vectors);
  return work(instance, options, ({ ClassifierHandle }, caller) =>
    ClassifierHandle.fit({ ...request, ...listener(options), caller }),
  );
}

/** Runs long work of a core for a caller whose signal may fire. */
async function work<T>(
  instance: CoreInstance,
  options: Pick<Api.CallOptions, 'signal'>,
  call: (glue: CoreInstance['glue'], caller: Caller) => Promise<T>,
): Promise<T> {
  const signal = signalOf(options);
  if (signal?.aborted) throw aborted(signal);
  const caller = new Caller();
  try {
    return await instance.run((glue) => call(glue, caller), caller);
  } finally {
    caller.end();
  }
}

function listener({ signal, onProgress }: Api.CallOptions): object {
  return {
    ...(signal && { signal }),
    ...(onProgress && { onProgress: (loaded: number) => onProgress({ status: 'fit', loaded, total: 100 }) }),
  };
}

const identityWith = (embedder: Api.Embedder, prompt: string | undefined): Api.EmbedderIdentity => ({
  ...identityOf(embedder),
  ...(prompt !== undefined && { prompt }),
});

/** The JSON as text; strings have a longest length. */
function textOf(json: Api.ClassifierJson): string {
  try {
    return JSON.stringify(json);
  } catch (error) {
    throw new PilotlightError(
      'RESOURCE_LIMIT',
      'the JSON of this TextClassifier is longer than a string can be',
      error,
    );
  }
}
