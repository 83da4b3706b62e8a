import type { ClassifierHandle } from '#core/cpu.js';
import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { aborted, signalOf } from './calls/abort.js';
import { CallQueue } from './calls/call-queue.js';
import { Caller } from './calls/caller.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { examplesOf } from './classifier/examples.js';
import { compare, compareVectors, FORMAT, parse, VERSION } from './classifier/json.js';
import {
  type Asking,
  byCodeUnit,
  embedded,
  embedOptions,
  joined,
  vectorsOf,
  withLabelTexts,
} from './classifier/vectors.js';
import { identityOf } from './core/core-of.js';
import type { CoreEvaluation } from './core/glue.js';
import type { CoreInstance } from './core/instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { stored } from './storage/named.js';

const BLIND =
  'There are too few examples to find the score that `unknown` stands for, so no text is refused: 10 at least are needed, in labels of two and more.';

/** The values before the probabilities in an answer of the core. */
const FIELDS = 4;

interface State {
  labels: string[];
  /** The texts of the examples, label texts included; empty strings where vectors came without them. */
  texts: string[];
  classes: Uint32Array;
  labelTexts: Uint8Array;
  options: Api.HeadOptions;
  unknown: number;
  /** The scores under which a label is not answered, instead of the one that `unknown` stands for. */
  thresholds: Record<string, number>;
  /** The embedder that made the vectors. */
  source: Api.EmbedderIdentity;
}

/** Classifies texts by a head on an embedder's vectors. */
export class TextClassifier implements Api.TextClassifier {
  readonly #embedder: Api.Embedder;
  readonly #instance: CoreInstance;
  #handle: ClassifierHandle;
  #state: State;
  readonly #adding = new CallQueue();
  #disposed = false;
  #notes: readonly string[];

  private constructor(
    key: symbol,
    embedder: Api.Embedder,
    instance: CoreInstance,
    handle: ClassifierHandle,
    state: State,
    notes: readonly string[] = [],
  ) {
    checkConstruct(key, 'TextClassifier', 'fit(), fromJSON() or open()');
    this.#embedder = embedder;
    this.#instance = instance;
    this.#handle = handle;
    this.#state = state;
    this.#notes = notes;
  }

  static async fit(
    embedder: Api.Embedder,
    examples: Api.ClassifierExamples,
    options: Api.FitOptions = {},
  ): Promise<TextClassifier> {
    try {
      const fit = checkObject('options', options) as Api.FitOptions;
      const { unknown = 0, thresholds = {}, prompt, head, C, gamma, k, tolerance, seed } = fit;
      checkEmbedder(embedder);
      checkRate(unknown);
      const given = await withLabelTexts(await vectorsOf(embedder, examplesOf(examples), options), embedder, options);
      const instance = await cores.cpu.instance();
      const settings = defined({ head, C, gamma, k, tolerance, seed });
      checkThresholds(thresholds, given.labels);
      const source = identityWith(embedder, prompt);
      const state = { ...given, options: settings, unknown, thresholds, source };
      const handle = await fitted(instance, embedder, state, given.vectors, options);
      const isBlind = unknown > 0 && (await instance.run(() => handle.threshold(unknown))) === undefined;
      return new TextClassifier(CONSTRUCT, embedder, instance, handle, state, isBlind ? [BLIND] : []);
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
      const saved = parse(json);
      const notes = compare(embedder, saved.embedder, prompt);
      const { labels, head, examples, heldOut, texts = [], labelTexts = [], unknown = 0 } = saved;
      checkRate(unknown);
      checkThresholds(saved.thresholds ?? {}, labels);
      const instance = await cores.cpu.instance();
      const own = { classCount: labels.length, head, examples, heldOut };
      const handle = await instance.run(({ ClassifierHandle }) => ClassifierHandle.fromJSON(own));
      const state: State = {
        labels,
        texts,
        classes: Uint32Array.from(examples?.classes ?? []),
        labelTexts: Uint8Array.from(labelTexts),
        options: saved.options ?? {},
        unknown,
        thresholds: saved.thresholds ?? {},
        source: saved.embedder ?? identityWith(embedder, prompt),
      };
      const classifier = new TextClassifier(CONSTRUCT, embedder, instance, handle, state, notes);
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
      const text = await stored(instance, name, options, ({ loadText }, resolved) => loadText(name, resolved));
      return text === undefined ? undefined : await TextClassifier.fromJSON(embedder, text, options);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async delete(name: string, options: Api.StoreOptions = {}): Promise<boolean> {
    try {
      const instance = await cores.cpu.instance();
      return await stored(instance, name, options, ({ deleteText }, resolved) => deleteText(name, resolved));
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async save(name: string, options: Api.StoreOptions = {}): Promise<void> {
    const text = JSON.stringify(this.toJSON());
    await stored(this.#instance, name, options, ({ saveText }, resolved) => saveText(name, text, resolved));
  }

  get labels(): readonly string[] {
    return this.#state.labels;
  }

  get thresholds(): Readonly<Record<string, number>> {
    return this.#state.thresholds;
  }

  set thresholds(thresholds: Readonly<Record<string, number>>) {
    this.#check();
    checkThresholds(thresholds, this.#state.labels);
    this.#state = { ...this.#state, thresholds: { ...thresholds } };
  }

  get notes(): readonly string[] {
    return this.#notes;
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
        throw new PilotlightError('INVALID_INPUT', `topK: expected a whole number from 1, got ${String(topK)}`);
      checkRate(unknown);
      const { data, dims } = await this.#embedder.embed(texts, embedOptions(this.#asking({ signal })));
      const { state, answers, threshold } = await work(this.#instance, options, async (_, caller) => {
        this.#check();
        // `add` may bring another head meanwhile: threshold and labels are those of the head that answers.
        const [handle, state] = [this.#handle, this.#state];
        const threshold = unknown > 0 ? handle.threshold(unknown) : undefined;
        const call = { ...(signal && { signal }), caller };
        return { state, threshold, answers: await handle.classify(data as Float32Array, dims[1], call) };
      });
      const width = FIELDS + state.labels.length;
      return Array.from({ length: dims[0] }, (_, row) =>
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
      const { labels } = this.#state;
      if ('folds' in Object(examples)) return await this.#validate((examples as { folds: number }).folds, options);
      const listed = examplesOf(examples as Api.ClassifierExamples);
      const given = await vectorsOf(this.#embedder, listed, this.#asking(options));
      const classes = Uint32Array.from(given.classes, (one) => {
        const label = given.labels[one] ?? '';
        const index = labels.indexOf(label);
        if (index < 0) throw new PilotlightError('INVALID_INPUT', `examples: the classifier has no label '${label}'`);
        return index;
      });
      const { signal } = options;
      const report = await work(this.#instance, options, async (_, caller) => {
        this.#check();
        const call = { ...(signal && { signal }), caller };
        return this.#handle.evaluate(given.vectors, this.#embedder.dimensions, classes, call);
      });
      return this.#report(report, given.texts);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async #validate(folds: number, options: Api.CallOptions): Promise<Api.ClassifierEvaluation> {
    if (folds !== 5) throw new PilotlightError('INVALID_INPUT', `folds: expected 5, got ${String(folds)}`);
    const request = this.#request(await this.#vectors());
    const report = await work(this.#instance, options, (glue, caller) =>
      glue.ClassifierHandle.crossValidate({ ...request, ...listener(options), caller }),
    );
    return this.#report(report, this.#state.texts);
  }

  #report(report: CoreEvaluation, texts: readonly string[]): Api.ClassifierEvaluation {
    const { labels } = this.#state;
    const { items, confusions, ...figures } = report;
    return {
      ...figures,
      confusions: confusions.map(({ class: actual, predicted, items: outcomes }) => ({
        label: labels[actual] ?? '',
        predicted: labels[predicted] ?? '',
        texts: outcomes.map((outcome) => texts[items[outcome] ?? -1] ?? ''),
      })),
    };
  }

  async add(examples: Api.ClassifierExamples, options: Api.CallOptions = {}): Promise<void> {
    try {
      // One after the other, or a second call would lose the examples of the first.
      await this.#adding.run(() => this.#add(examples, options), signalOf(checkObject('options', options)));
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async #add(examples: Api.ClassifierExamples, options: Api.CallOptions): Promise<void> {
    this.#check();
    const former = await this.#vectors();
    const given = await vectorsOf(this.#embedder, examplesOf(examples), this.#asking(options));
    const labels = [...new Set([...this.#state.labels, ...given.labels])].sort(byCodeUnit);
    const classOf = (label: string | undefined): number => labels.indexOf(label ?? '');
    const state: State = {
      ...this.#state,
      labels,
      texts: [...this.#state.texts, ...given.texts],
      classes: Uint32Array.from([
        ...Array.from(this.#state.classes, (one) => classOf(this.#state.labels[one])),
        ...Array.from(given.classes, (one) => classOf(given.labels[one])),
      ]),
      labelTexts: Uint8Array.from([...this.#state.labelTexts, ...given.labelTexts]),
    };
    const vectors = joined(former, given.vectors);
    await this.#fit(state, vectors, options);
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
    this.#state = state;
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
    this.#notes = [];
  }

  /** Refuses an embedder whose vectors are not like those of the JSON. */
  async #checkVectors(signal: AbortSignal | undefined): Promise<void> {
    const { dimensions } = this.#handle;
    if (dimensions !== undefined && dimensions !== this.#embedder.dimensions) {
      const got = `its vectors have ${this.#embedder.dimensions} values`;
      throw new PilotlightError('INVALID_INPUT', `embedder: ${got}, expected ${dimensions}`);
    }
    const example = this.#state.texts.findIndex((text) => text.trim() !== '');
    // Where nothing is different, the vectors are the same.
    if (this.#notes.length === 0 || example < 0 || dimensions === undefined) return;
    const text = this.#state.texts[example] ?? '';
    const { data } = await this.#embedder.embed([text], embedOptions(this.#asking({ signal })));
    const kept = await this.#vectors();
    compareVectors(text, kept.subarray(example * dimensions, (example + 1) * dimensions), data as Float32Array);
  }

  toJSON(): Api.ClassifierJson {
    this.#check();
    const { labels, texts, labelTexts, options, unknown, thresholds, source } = this.#state;
    const { classCount: _, ...own } = this.#instance.now(() => this.#handle.toJSON());
    return {
      format: FORMAT,
      version: VERSION,
      labels,
      embedder: source,
      unknown,
      ...(Object.keys(thresholds).length > 0 && { thresholds }),
      options,
      ...(own.examples && { texts, labelTexts: Array.from(labelTexts) }),
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

  async #vectors(): Promise<Float32Array> {
    const vectors = await this.#run((handle) => handle.vectors());
    if (vectors) return vectors;
    throw new PilotlightError(
      'INVALID_INPUT',
      'this TextClassifier was imported without examples, so it cannot be fitted',
    );
  }

  /** How texts are embedded: with the prompt of the examples. */
  #asking(options: { [Name in keyof Api.CallOptions]: Api.CallOptions[Name] | undefined }): Asking {
    const { signal, onProgress } = options;
    const { prompt } = this.#state.source;
    return { ...(prompt !== undefined && { prompt }), ...(signal && { signal }), ...(onProgress && { onProgress }) };
  }

  #request(vectors: Float32Array): object {
    return requestOf(this.#state, this.#embedder, vectors);
  }
}

/** The answer for one text, from what the core returned for its vector. */
function answerOf(
  values: Float64Array,
  { labels, texts, classes, thresholds }: State,
  topK: number,
  threshold: number | undefined,
): Api.Classification {
  const [predicted, score, nearest, cosine] = values as unknown as [number, number, number, number];
  const probabilities = values.subarray(FIELDS);
  const order = Array.from(probabilities.keys()).sort((a, b) => at(probabilities, b) - at(probabilities, a) || a - b);
  const probability = at(probabilities, predicted);
  const runnerUp = order.find((index) => index !== predicted);
  const text = texts[nearest];
  const label = labels[predicted] ?? '';
  return {
    label: score < (thresholds[label] ?? threshold ?? Number.NEGATIVE_INFINITY) ? null : label,
    probability,
    score,
    margin: probability - (runnerUp === undefined ? 0 : at(probabilities, runnerUp)),
    scores: order
      .slice(0, topK)
      .map((index) => ({ label: labels[index] ?? '', probability: at(probabilities, index) })),
    ...(nearest >= 0 && {
      nearest: { ...(text && { text }), label: labels[classes[nearest] ?? -1] ?? '', cosine },
    }),
  };
}

const at = (values: Float64Array, index: number): number => values[index] ?? 0;

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

function checkThresholds(thresholds: unknown, labels: readonly string[]): void {
  for (const [label, score] of Object.entries(checkObject('thresholds', thresholds))) {
    if (!labels.includes(label))
      throw new PilotlightError('INVALID_INPUT', `thresholds: the classifier has no label '${label}'`);
    if (typeof score !== 'number' || Number.isNaN(score))
      throw new PilotlightError('INVALID_INPUT', `thresholds: expected a number for '${label}', got ${String(score)}`);
  }
}

const identityWith = (embedder: Api.Embedder, prompt: string | undefined): Api.EmbedderIdentity => ({
  ...identityOf(embedder),
  ...(prompt !== undefined && { prompt }),
});

/** The options of the head that were given. */
const defined = (values: { [Name in keyof Api.HeadOptions]: Api.HeadOptions[Name] | undefined }): Api.HeadOptions =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function checkEmbedder(embedder: unknown): asserts embedder is Api.Embedder {
  const { embed, dimensions } = Object(embedder);
  if (typeof embed !== 'function' || !Number.isInteger(dimensions))
    throw new PilotlightError('INVALID_INPUT', `embedder: expected a TextEmbedder, got ${typeof embedder}`);
}

function checkRate(unknown: unknown): asserts unknown is number {
  if (typeof unknown === 'number' && unknown >= 0 && unknown < 1) return;
  throw new PilotlightError('INVALID_INPUT', `unknown: expected a rate from 0 to below 1, got ${String(unknown)}`);
}
