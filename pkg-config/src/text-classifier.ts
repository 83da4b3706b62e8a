import type { ClassifierHandle } from '#core/cpu.js';
import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { aborted, signalOf } from './calls/abort.js';
import { CallQueue } from './calls/call-queue.js';
import { Caller } from './calls/caller.js';
import { checkObject } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { identityOf } from './core/core-of.js';
import type { CoreEvaluation } from './core/glue.js';
import type { CoreInstance } from './core/instance.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { type Examples, examplesOf } from './inputs/examples.js';

const FORMAT = 'pilotlight-classifier';
const VERSION = 1;

/** Texts that are embedded between two progress events. */
const BATCH = 64;

/** With fewer examples per label than this, a label's name is one more example: from there on it changes nothing. */
const FEW = 10;

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
  /** The embedder that made the vectors; absent where an imported head does not name it. */
  source?: Api.EmbedderIdentity;
}

/** Classifies texts by a head on an embedder's vectors. */
export class TextClassifier implements Api.TextClassifier {
  readonly #embedder: Api.Embedder;
  readonly #instance: CoreInstance;
  #handle: ClassifierHandle;
  #state: State;
  readonly #adding = new CallQueue();
  #disposed = false;
  readonly notes: readonly string[];

  private constructor(
    key: symbol,
    embedder: Api.Embedder,
    instance: CoreInstance,
    handle: ClassifierHandle,
    state: State,
    notes: readonly string[] = [],
  ) {
    checkConstruct(key, 'TextClassifier', 'fit() or fromJSON()');
    this.#embedder = embedder;
    this.#instance = instance;
    this.#handle = handle;
    this.#state = state;
    this.notes = notes;
  }

  static async fit(
    embedder: Api.Embedder,
    examples: Api.ClassifierExamples,
    options: Api.FitOptions = {},
  ): Promise<TextClassifier> {
    try {
      const { unknown = 0, head, C, gamma, k, tolerance, seed } = checkObject('options', options) as Api.FitOptions;
      checkEmbedder(embedder);
      checkRate(unknown);
      const given = await withLabelTexts(await vectorsOf(embedder, examplesOf(examples), options), embedder, options);
      const instance = await cores.cpu.instance();
      const settings = defined({ head, C, gamma, k, tolerance, seed });
      const state = { ...given, options: settings, unknown, source: identityOf(embedder) };
      const handle = await fitted(instance, embedder, state, given.vectors, options);
      return new TextClassifier(CONSTRUCT, embedder, instance, handle, state);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  static async fromJSON(embedder: Api.Embedder, json: string | object): Promise<TextClassifier> {
    try {
      checkEmbedder(embedder);
      const saved = parse(json);
      const notes = compare(embedder, saved.embedder);
      const { labels, head, examples, heldOut, texts = [], labelTexts = [], options = {}, unknown = 0 } = saved;
      checkRate(unknown);
      const instance = await cores.cpu.instance();
      const own = JSON.stringify({ classCount: labels.length, head, examples, heldOut });
      const handle = await instance.run(({ ClassifierHandle }) => ClassifierHandle.fromJSON(own));
      const { dimensions } = handle;
      if (dimensions !== undefined && dimensions !== embedder.dimensions) {
        await instance.run(() => handle.free());
        throw new PilotlightError(
          'INVALID_INPUT',
          `embedder: its vectors have ${embedder.dimensions} values, expected ${dimensions}`,
        );
      }
      const classes = Uint32Array.from(examples?.classes ?? []);
      const state: State = {
        labels,
        texts,
        classes,
        labelTexts: Uint8Array.from(labelTexts),
        options,
        unknown,
        ...(saved.embedder && { source: saved.embedder }),
      };
      return new TextClassifier(CONSTRUCT, embedder, instance, handle, state, notes);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  get labels(): readonly string[] {
    return this.#state.labels;
  }

  get size(): number {
    return this.#state.classes.length;
  }

  async classify(texts: string | readonly string[], options: Api.ClassifyOptions = {}): Promise<Api.Classification[]> {
    try {
      this.#check();
      const {
        topK = 3,
        unknown = this.#state.unknown,
        signal,
      } = checkObject('options', options) as Api.ClassifyOptions;
      if (!Number.isInteger(topK) || topK < 1)
        throw new PilotlightError('INVALID_INPUT', `topK: expected a whole number from 1, got ${String(topK)}`);
      checkRate(unknown);
      const { data, dims } = await this.#embedder.embed(texts, signal ? { signal } : {});
      // `add` may bring another head meanwhile, so both questions are asked at once, and the labels are those of that head.
      const { state, answers, threshold } = await this.#run((handle) => ({
        state: this.#state,
        answers: handle.classify(data as Float32Array, dims[1]),
        threshold: unknown > 0 ? handle.threshold(unknown) : undefined,
      }));
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
      if ('folds' in Object(examples)) return this.#validate((examples as { folds: number }).folds, options);
      const given = await vectorsOf(this.#embedder, examplesOf(examples as Api.ClassifierExamples), options);
      const classes = Uint32Array.from(given.classes, (one) => {
        const label = given.labels[one] ?? '';
        const index = labels.indexOf(label);
        if (index < 0) throw new PilotlightError('INVALID_INPUT', `examples: the classifier has no label '${label}'`);
        return index;
      });
      const report = await this.#run((handle) => handle.evaluate(given.vectors, this.#embedder.dimensions, classes));
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

  #report(report: string, texts: readonly string[]): Api.ClassifierEvaluation {
    const { labels } = this.#state;
    const { items, confusions, ...figures } = JSON.parse(report) as CoreEvaluation;
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
    const given = await vectorsOf(this.#embedder, examplesOf(examples), options);
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

  toJSON(): Api.ClassifierJson {
    this.#check();
    const { labels, texts, labelTexts, options, unknown, source } = this.#state;
    const { classCount: _, ...own } = JSON.parse(this.#instance.now(() => this.#handle.toJSON()));
    return {
      format: FORMAT,
      version: VERSION,
      labels,
      ...(source && { embedder: source }),
      unknown,
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

  #request(vectors: Float32Array): object {
    return requestOf(this.#state, this.#embedder, vectors);
  }
}

/** The answer for one text, from what the core returned for its vector. */
function answerOf(
  values: Float64Array,
  { labels, texts, classes }: State,
  topK: number,
  threshold: number | undefined,
): Api.Classification {
  const [predicted, score, nearest, cosine] = values as unknown as [number, number, number, number];
  const probabilities = values.subarray(FIELDS);
  const order = Array.from(probabilities.keys()).sort((a, b) => at(probabilities, b) - at(probabilities, a) || a - b);
  const probability = at(probabilities, predicted);
  const runnerUp = order.find((index) => index !== predicted);
  const text = texts[nearest];
  return {
    label: threshold !== undefined && score < threshold ? null : (labels[predicted] ?? null),
    probability,
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
const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

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
  options: Api.CallOptions,
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

/** Examples with their vectors. */
type Given = Pick<State, 'labels' | 'texts' | 'classes' | 'labelTexts'> & { vectors: Float32Array };

/** Embeds examples, unless they came with vectors. */
async function vectorsOf(embedder: Api.Embedder, examples: Examples, options: Api.CallOptions): Promise<Given> {
  const labels = [...new Set(examples.labels)].sort(byCodeUnit);
  const index = new Map(labels.map((label, i) => [label, i]));
  const classes = Uint32Array.from(examples.labels, (label) => index.get(label) ?? 0);
  const { texts } = examples;
  const vectors = examples.vectors
    ? checked(examples.vectors, embedder.dimensions, classes.length)
    : await embedded(embedder, texts, options);
  return { labels, texts, classes, labelTexts: new Uint8Array(classes.length), vectors };
}

function checked(vectors: Float32Array, dimensions: number, count: number): Float32Array {
  if (vectors.length === count * dimensions) return vectors;
  const expected = `${count} vectors of ${dimensions} values`;
  throw new PilotlightError('INVALID_INPUT', `examples.vectors: expected ${expected}, got ${vectors.length} values`);
}

async function embedded(
  embedder: Api.Embedder,
  texts: readonly string[],
  options: Api.CallOptions,
): Promise<Float32Array> {
  const { signal, onProgress } = options;
  const { dimensions } = embedder;
  let vectors: Float32Array;
  try {
    vectors = new Float32Array(texts.length * dimensions);
  } catch (error) {
    throw new PilotlightError('RESOURCE_LIMIT', `the vectors of ${texts.length} examples do not fit in memory`, error);
  }
  for (let first = 0; first < texts.length; first += BATCH) {
    const { data } = await embedder.embed(texts.slice(first, first + BATCH), signal ? { signal } : {});
    vectors.set(data as Float32Array, first * dimensions);
    onProgress?.({ status: 'embed', loaded: Math.min(first + BATCH, texts.length), total: texts.length });
  }
  return vectors;
}

/** Adds the name of each label as one more example. */
async function withLabelTexts(given: Given, embedder: Api.Embedder, options: Api.FitOptions): Promise<Given> {
  const { labels, texts, classes, vectors } = given;
  const { labelText = classes.length < FEW * labels.length, signal } = options;
  if (labelText === false) return given;
  const nameOf = typeof labelText === 'function' ? labelText : (label: string) => label.replace(/[_-]+/g, ' ').trim();
  const names = labels.map((label) => String(nameOf(label)));
  const { data } = await embedder.embed(
    names.map((name) => name || ' '),
    signal ? { signal } : {},
  );
  return {
    labels,
    texts: [...texts, ...names],
    classes: Uint32Array.from([...classes, ...labels.keys()]),
    labelTexts: Uint8Array.from([...texts.map(() => 0), ...names.map(() => 1)]),
    vectors: joined(vectors, data as Float32Array),
  };
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

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

/** Checks what this file reads of a document; the core checks the rest. */
function parse(json: string | object): Api.ClassifierJson {
  let saved: Partial<Api.ClassifierJson>;
  try {
    saved = typeof json === 'string' ? JSON.parse(json) : (checkObject('json', json) as Partial<Api.ClassifierJson>);
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    throw new PilotlightError('INVALID_INPUT', `json: is not valid: ${(error as Error).message}`, error);
  }
  const wrong = (what: string): PilotlightError => new PilotlightError('INVALID_INPUT', `json: ${what}`);
  if (saved?.format !== FORMAT) throw wrong(`format is ${String(saved?.format)}, expected '${FORMAT}'`);
  if (saved.version !== VERSION) throw wrong(`version is ${String(saved.version)}, expected ${VERSION}`);
  const { labels, texts = [], labelTexts = [], examples } = saved;
  const strings = (list: unknown): boolean => Array.isArray(list) && list.every((one) => typeof one === 'string');
  if (!strings(labels) || new Set(labels).size !== labels?.length) throw wrong('labels are not distinct strings');
  if (!strings(texts)) throw wrong('texts are not strings');
  const classes: unknown = Object(examples).classes ?? [];
  if (!Array.isArray(classes)) throw wrong('examples.classes is not an array');
  for (const [name, list] of Object.entries({ texts, labelTexts })) {
    if (!Array.isArray(list) || (list.length !== 0 && list.length !== classes.length))
      throw wrong(`${name} has another length than the examples`);
  }
  return saved as Api.ClassifierJson;
}

/** Refuses an embedder of another model, and returns what else is different. */
function compare(embedder: Api.Embedder, saved: Api.EmbedderIdentity | undefined): string[] {
  const own = identityOf(embedder);
  if (!saved) return ['The JSON does not name the model whose vectors the classifier was fitted on.'];
  if (own.model !== undefined && saved.model !== own.model)
    throw new PilotlightError('INVALID_INPUT', `embedder: is of ${own.model}, expected ${saved.model}`);
  if (own.model !== undefined && saved.layers !== own.layers) {
    const { layers: loaded = 'all' } = own;
    const { layers: expected = 'all' } = saved;
    throw new PilotlightError('INVALID_INPUT', `embedder: has ${loaded} layers of its model, expected ${expected}`);
  }
  const notes: string[] = [];
  for (const field of ['dtype', 'simd'] as const) {
    if (saved[field] !== undefined && own[field] !== undefined && saved[field] !== own[field])
      notes.push(
        `The classifier was fitted on vectors of ${field} '${saved[field]}', and the embedder's are of '${own[field]}'.`,
      );
  }
  return notes;
}
