import type { Classification, ClassifierEvaluation } from 'pilotlight';
import { count, percent, timeLeft } from '../page/format';
import type { Work } from './useLearner';

/** The share of work that is done, 0 to 1. To embed the examples takes most of the time that it takes to learn. */
export function shareDone({ kind, progress }: Work): number {
  if (!progress) return 0;
  const share = progress.loaded / progress.total;
  if (kind !== 'learn') return progress.status === 'fit' ? share : 0;
  return progress.status === 'embed' ? 0.85 * share : 0.85 + 0.15 * share;
}

/** Describes the work that is under way, and its progress. */
export function workWords({ kind, progress, since }: Work): string {
  if (kind === 'open') return 'Opening the file';
  if (kind === 'check') return `Checking itself: ${percent(progress ? progress.loaded / progress.total : 0)}`;
  if (!progress) return 'Getting started';
  if (progress.status === 'fit') return `Learning from them: ${percent(progress.loaded / progress.total)}`;
  const { loaded, total } = progress;
  const left = timeLeft(loaded, total, performance.now() - since);
  const read = `Reading the examples: ${loaded.toLocaleString('en')} of ${total.toLocaleString('en')}`;
  return left ? `${read}, ${left}` : read;
}

/** The label that an answer names, or would name if it were surer. */
export function guessOf({ label, scores }: Classification): string {
  return label ?? scores[0]?.label ?? '';
}

/** Describes the difference between the probabilities of the first and the second label. */
export function marginWords(answer: Classification): string {
  const guess = guessOf(answer);
  const second = answer.scores.find(({ label }) => label !== guess);
  if (!second) return '';
  const lead =
    answer.margin >= 0.6 ? 'Far ahead of' : answer.margin >= 0.25 ? 'Clearly ahead of' : 'Only just ahead of';
  return `${lead} “${second.label}”, ${percent(second.probability)}.`;
}

/** Describes the answer that the classifier refuses to give, and the reason. */
export function refusalWords(answer: Classification): string {
  const reason = answer.probability >= 0.5 ? 'no example is near enough' : 'it is too unsure';
  return `It would have said “${guessOf(answer)}”, but ${reason}.`;
}

/** The answer for screen readers. */
export function answerWords(answer: Classification): string {
  const { label, probability } = answer;
  if (label === null) return `I don’t know. ${refusalWords(answer)}`;
  return `${label}, ${percent(probability)} sure. ${marginWords(answer)}`;
}

/** A rate as a whole number of percent: rates come from a slider that has no others. */
export const rateWords = (rate: number): string => `${Math.round(rate * 100)}%`;

/** The share of requests that is answered, and that of right answers among them. */
export interface Point {
  rate: number;
  coverage: number;
  accuracy: number;
}

/** The point at a rate, on straight lines between the points that were measured; null where none were. */
export function pointAt(points: ClassifierEvaluation['coverage'], rate: number): Point | null {
  const after = points.find((point) => point.rate >= rate) ?? points.at(-1);
  const before = points.findLast((point) => point.rate <= rate) ?? points[0];
  if (!before || !after) return null;
  const part = after.rate > before.rate ? (rate - before.rate) / (after.rate - before.rate) : 0;
  const between = (a: number, b: number) => a + part * (b - a);
  return {
    rate,
    coverage: between(before.coverage, after.coverage),
    accuracy: between(before.accuracy, after.accuracy),
  };
}

/** Describes the classifier at a point of the curve, in a sentence. */
export function pointWords({ coverage, accuracy }: Point): string {
  return `It answers ${percent(coverage)} of requests like the examples, and ${percent(accuracy)} of its answers are right.`;
}

/** Returns a sentence on the number of examples that a check held out, and of those that were taken for another label. */
export function mistakesWords({ count: all, confusions }: ClassifierEvaluation): string {
  const wrong = confusions.reduce((sum, { texts }) => sum + texts.length, 0);
  if (wrong === 0) return `None of ${count(all, 'example')} was taken for another label.`;
  return `${wrong} of ${count(all, 'example')} ${wrong === 1 ? 'was' : 'were'} taken for another label.`;
}
