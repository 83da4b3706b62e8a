import { cores } from '#runtime';
import type { DetectorDecoder, DetectorEvaluation, DetectorFitOptions } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';
import { MIN_TEXTS } from './calibration.js';
import { type Engine, HiddenEngine, LikelihoodEngine } from './engines.js';
import { FEATURES } from './features.js';
import { type Fitted, fit } from './fitting.js';
import { NearestGate, OUTSIDE } from './gate.js';
import { distanceOf, type LinearHead, surroundingsOf, type Thresholds } from './head.js';
import { isEnglish } from './language.js';
import { normalize } from './normalize.js';
import { readHidden, readLikelihoods } from './readers.js';
import { quantileOf } from './statistics.js';
import { checkTexts } from './texts.js';
import { MIN_TOKENS } from './verdict.js';

/** A fitted detector without its model. */
interface FittedEngine {
  engine: Engine;
  thresholds: Thresholds;
  evaluation: DetectorEvaluation;
}

type Rows = readonly ArrayLike<number>[];

/** Reads texts of both kinds, and fits a head to them. */
export async function fitted(
  decoder: DetectorDecoder,
  human: readonly string[],
  machine: readonly string[],
  options: DetectorFitOptions,
): Promise<FittedEngine> {
  const { features = 'likelihoods', pool = 'mean', layer, signal, onProgress } = options;
  if (features !== 'likelihoods' && features !== 'hidden')
    throw new PilotlightError('INVALID_INPUT', `features: expected 'likelihoods' or 'hidden', got ${shown(features)}`);
  if (pool !== 'mean' && pool !== 'last')
    throw new PilotlightError('INVALID_INPUT', `pool: expected 'mean' or 'last', got ${shown(pool)}`);
  const { head = features === 'hidden' ? 'rbf-svm' : 'linear-svm' } = options;
  if (features === 'likelihoods' && head !== 'linear-svm' && head !== 'logistic')
    throw new PilotlightError(
      'INVALID_INPUT',
      `head: expected 'linear-svm' or 'logistic' for likelihoods, got ${shown(head)}`,
    );
  const at = features === 'hidden' ? layerOf(decoder, layer) : undefined;
  const people = prepared('human', human);
  const plain = [...people, ...prepared('machine', machine)];
  const texts = plain.map(({ text }) => text);
  const reading = {
    signal,
    onProgress: onProgress && ((loaded: number, total: number) => onProgress({ status: 'read', loaded, total })),
  };
  const read =
    features === 'likelihoods'
      ? (await readLikelihoods(decoder, texts, reading)).map((one) => ({ tokens: one.tokens, row: one.features ?? [] }))
      : (await readHidden(decoder, texts, { layer: at, pool }, reading)).map(({ tokens, vector }) => ({
          tokens,
          row: vector ?? [],
        }));
  const examples = plain.map(({ text, place }, i) => {
    const { tokens = 0, row = [] } = read[i] ?? {};
    return { row, place, isJudged: tokens >= MIN_TOKENS && isEnglish(text) };
  });
  const [own, others] = [examples.slice(0, people.length), examples.slice(people.length)];
  const judged = own.filter(({ isJudged }) => isJudged).length;
  if (judged < MIN_TEXTS)
    throw new PilotlightError(
      'INVALID_INPUT',
      `human: expected ${MIN_TEXTS} different English texts of ${MIN_TOKENS} tokens at least, got ${judged}`,
    );
  const rows: Rows = examples.map(({ row }) => row);
  const instance = await cores.cpu.instance();
  const fold = {
    signal,
    onProgress: (share: number) => onProgress?.({ status: 'fit', loaded: Math.floor(100 * share), total: 100 }),
  };
  const result = await fit(instance, own, others, { ...options, head }, fold);
  const { thresholds, evaluation } = result;
  const engine =
    features === 'likelihoods'
      ? new LikelihoodEngine(decoder, linearHead(result, rows))
      : new HiddenEngine(
          decoder,
          result.head,
          NearestGate.of(result.head.columns, rows),
          { layer: at, pool },
          {
            version: 'fitted',
            floor: thresholds.machine,
          },
        );
  return { engine, thresholds, evaluation };
}

/** The layer whose states are read: the one that is asked for, else the decoder's last. */
function layerOf({ layers }: DetectorDecoder, layer: number | undefined): number {
  const at = layer ?? layers;
  if (at !== undefined) return at;
  throw new PilotlightError(
    'INVALID_INPUT',
    'layer: expected a number, because the decoder does not say how many it has',
  );
}

/** Normalizes texts, of which there must be enough and none empty. The first of copies is kept; `place` is its index in the list. */
function prepared(name: string, texts: unknown): { text: string; place: number }[] {
  const list = checkTexts(name, texts);
  if (list.length < MIN_TEXTS)
    throw new PilotlightError('INVALID_INPUT', `${name}: expected ${MIN_TEXTS} texts at least, got ${list.length}`);
  const places = new Map<string, number>();
  for (const [i, text] of list.entries()) {
    const plain = normalize(text).text;
    if (plain === '') throw new PilotlightError('INVALID_INPUT', `${name}[${i}]: expected a text that is not empty`);
    if (!places.has(plain)) places.set(plain, i);
  }
  if (places.size < MIN_TEXTS)
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: expected ${MIN_TEXTS} different texts at least, got ${places.size}`,
    );
  return Array.from(places, ([text, place]) => ({ text, place }));
}

/** Converts a fitted linear head to one of plain numbers, with the gate of its own texts. */
export function linearHead({ head, thresholds }: Pick<Fitted, 'head' | 'thresholds'>, rows: Rows): LinearHead {
  const linear = head.linear();
  head.free();
  if (!linear) throw new PilotlightError('INTERNAL', 'the fitted head is not linear');
  const around = surroundingsOf({ ...head.columns, ...linear }, rows);
  const distances = rows.map((row) => distanceOf(around, Float64Array.from(row)));
  const { intercept } = linear;
  return {
    version: 'fitted',
    features: FEATURES,
    ...around,
    intercept,
    thresholds,
    gate: quantileOf(distances, 1 - OUTSIDE),
  };
}
