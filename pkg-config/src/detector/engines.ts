import type { DetectorAnswer, DetectorClassifier, DetectorDecoder, DetectorFeature } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { FEATURES } from './features.js';
import type { NearestGate } from './gate.js';
import { type Aspect, aspectsOf, distanceOf, type LinearHead, scoreOf } from './head.js';
import { type LikelihoodReading, type Reading, readHidden, readLikelihoods } from './readers.js';
import type { Span } from './sentences.js';
import { oddsOf, type VectorHead } from './vector-head.js';

/** The result of an engine for a text. */
export interface Scored {
  tokens: number;
  score?: number;
  /** The distance from the texts of the fit; 0 if the engine measures none. */
  distance: number;
  /** Whether the text had more tokens. */
  isCut?: boolean;
  features?: Record<DetectorFeature, number>;
  aspects?: Record<Aspect, number>;
  /** Returns the amount that each of the given sentences adds to the score. */
  contributions?(sentences: readonly Span[]): number[];
}

/** Gives scores to normalized texts. */
export interface Engine {
  readonly kind: 'likelihoods' | 'hidden' | 'classifier';
  readonly version: string;
  /** The largest distance at which a text is like those of the fit. */
  readonly limit: number;
  /** The head's own threshold of `machine`, the lower bound of all calibrations; `undefined` if it has none. */
  readonly floor: number | undefined;
  score(texts: readonly string[], reading: Reading): Promise<Scored[]>;
  free(): void;
}

/** Statistics of likelihoods, and a linear head. */
export class LikelihoodEngine implements Engine {
  readonly kind = 'likelihoods';
  readonly head: LinearHead;
  readonly #decoder: DetectorDecoder;

  constructor(decoder: DetectorDecoder, head: LinearHead) {
    this.#decoder = decoder;
    this.head = head;
  }

  get version(): string {
    return this.head.version;
  }

  get limit(): number {
    return this.head.gate;
  }

  get floor(): number {
    return this.head.thresholds.machine;
  }

  async score(texts: readonly string[], reading: Reading): Promise<Scored[]> {
    const readings = await readLikelihoods(this.#decoder, texts, reading);
    return readings.map((one) => this.#scored(one));
  }

  #scored(reading: LikelihoodReading): Scored {
    const { head } = this;
    const { tokens, isCut, features } = reading;
    if (!features) return { tokens, isCut, distance: 0 };
    const score = scoreOf(head, features);
    return {
      tokens,
      isCut,
      score,
      distance: distanceOf(head, features),
      features: Object.fromEntries(FEATURES.map((name, i) => [name, features[i] ?? 0])) as Record<
        DetectorFeature,
        number
      >,
      aspects: aspectsOf(head, features),
      contributions: (sentences) =>
        sentences.map((sentence) => {
          const without = reading.without(sentence);
          return without ? score - scoreOf(head, without) : 0;
        }),
    };
  }

  free(): void {}
}

/** Pooled hidden states, and a head of `TextClassifier`. */
export class HiddenEngine implements Engine {
  readonly kind = 'hidden';
  readonly version: string;
  readonly floor: number | undefined;
  readonly head: VectorHead;
  readonly gate: NearestGate;
  readonly pooling: { layer?: number | undefined; pool: 'mean' | 'last' };
  readonly #decoder: DetectorDecoder;

  constructor(
    decoder: DetectorDecoder,
    head: VectorHead,
    gate: NearestGate,
    pooling: { layer?: number | undefined; pool: 'mean' | 'last' },
    { version, floor }: { version: string; floor: number | undefined },
  ) {
    this.#decoder = decoder;
    this.head = head;
    this.gate = gate;
    this.pooling = pooling;
    this.version = version;
    this.floor = floor;
  }

  get limit(): number {
    return this.gate.limit;
  }

  async score(texts: readonly string[], reading: Reading): Promise<Scored[]> {
    const readings = await readHidden(this.#decoder, texts, this.pooling, reading);
    const vectors = readings.flatMap(({ vector }) => (vector ? [vector] : []));
    const scores = await this.head.scores(vectors, reading.signal);
    let next = 0;
    return readings.map(({ tokens, isCut, vector }) => {
      if (!vector) return { tokens, isCut, distance: 0 };
      const score = scores[next] ?? 0;
      next += 1;
      return { tokens, isCut, score, distance: this.gate.distance(vector) };
    });
  }

  free(): void {
    this.head.free();
  }
}

/** The characters of an average English token, to estimate the length of a text if the classifier does not count its tokens. */
const CHARACTERS_PER_TOKEN = 4.5;

/** A classifier of whole texts. */
export class ClassifierEngine implements Engine {
  readonly kind = 'classifier';
  readonly version = 'classifier';
  readonly limit = Number.POSITIVE_INFINITY;
  readonly floor = undefined;
  readonly machineLabel: number;
  readonly #classifier: DetectorClassifier;

  constructor(classifier: DetectorClassifier, machineLabel: number) {
    this.#classifier = classifier;
    this.machineLabel = machineLabel;
  }

  async score(texts: readonly string[], { signal }: Reading): Promise<Scored[]> {
    const answers = await this.#classifier.classify(texts, signal ? { signal } : {});
    return texts.map((text, i) => {
      const answer = answers[i];
      const probability = answer?.[this.machineLabel];
      if (probability === undefined)
        throw new PilotlightError('INVALID_INPUT', `classifier: it gave no label ${this.machineLabel} for text ${i}`);
      const { tokens = Math.floor(text.length / CHARACTERS_PER_TOKEN), truncated = false } = answer as DetectorAnswer;
      return { tokens, score: oddsOf(probability), distance: 0, isCut: truncated };
    });
  }

  free(): void {}
}
