import type * as Api from '../../types/index.js';
import { ownValue } from '../calls/check.js';
import type { CoreEvaluation } from '../core/glue.js';
import type { State } from './state.js';

/** The values before the probabilities in an answer of the core. */
export const FIELDS = 4;

/** The answer for one text, from what the core returned for its vector. */
export function answerOf(
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
    label: score < (ownValue(thresholds, label) ?? threshold ?? Number.NEGATIVE_INFINITY) ? null : label,
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

/** The figures of the core, with labels and texts instead of their numbers. */
export function reportOf(
  { items, confusions, ...figures }: CoreEvaluation,
  labels: readonly string[],
  texts: readonly string[],
): Api.ClassifierEvaluation {
  return {
    ...figures,
    confusions: confusions.map(({ class: actual, predicted, items: outcomes }) => ({
      label: labels[actual] ?? '',
      predicted: labels[predicted] ?? '',
      texts: outcomes.map((outcome) => texts[items[outcome] ?? -1] ?? ''),
    })),
  };
}
