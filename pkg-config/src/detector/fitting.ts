import type { DetectorEvaluation, HeadOptions } from '../../types/index.js';
import type { CoreInstance } from '../core/instance.js';
import { RATES } from './calibration.js';
import type { Thresholds } from './head.js';
import { upperThreshold } from './statistics.js';
import { VectorHead } from './vector-head.js';

/** The parts of the examples, each of which is held out once. */
const FOLDS = 5;

/** A head, and what the texts say that were held out. */
export interface Fitted {
  head: VectorHead;
  thresholds: Thresholds;
  evaluation: DetectorEvaluation;
}

/**
 * Fits a head to all rows, and five times to four fifths of them, so that thresholds come from texts that no fit has seen. The i-th
 * texts of both kinds are held out together: a human text and a machine's about the same subject stay in one fold.
 */
export async function fit(
  instance: CoreInstance,
  human: readonly ArrayLike<number>[],
  machine: readonly ArrayLike<number>[],
  options: HeadOptions,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (share: number) => void },
): Promise<Fitted> {
  const held: { human: number[]; machine: number[] } = { human: [], machine: [] };
  for (let fold = 0; fold < FOLDS; fold += 1) {
    const seen = (_: unknown, i: number): boolean => i % FOLDS !== fold;
    const isHeld = (_: unknown, i: number): boolean => i % FOLDS === fold;
    const head = await both(instance, human.filter(seen), machine.filter(seen), options, signal);
    try {
      held.human.push(...(await head.scores(human.filter(isHeld), signal)));
      held.machine.push(...(await head.scores(machine.filter(isHeld), signal)));
    } finally {
      head.free();
    }
    onProgress?.((fold + 1) / (FOLDS + 1));
  }
  const head = await both(instance, human, machine, options, signal);
  onProgress?.(1);
  const [at, sign] = [RATES.machine, RATES.sign].map((rate) => upperThreshold(held.human, rate).threshold);
  const thresholds = { machine: at ?? 0, sign: sign ?? 0 };
  const caught = held.machine.filter((score) => score > thresholds.machine).length / held.machine.length;
  const evaluation = {
    human: human.length,
    machine: machine.length,
    auroc: auroc(held.human, held.machine),
    caught,
  };
  return { head, thresholds, evaluation };
}

function both(
  instance: CoreInstance,
  human: readonly ArrayLike<number>[],
  machine: readonly ArrayLike<number>[],
  options: HeadOptions,
  signal: AbortSignal | undefined,
): Promise<VectorHead> {
  const isMachine = [...human.map(() => false), ...machine.map(() => true)];
  return VectorHead.fit(instance, [...human, ...machine], isMachine, options, { signal });
}

/** The probability that a machine's text scores higher than a human one; ties count half. */
export function auroc(human: readonly number[], machine: readonly number[]): number {
  const all = [...human.map((score) => ({ score, is: 0 })), ...machine.map((score) => ({ score, is: 1 }))];
  all.sort((a, b) => a.score - b.score);
  let [below, wins] = [0, 0];
  for (let at = 0; at < all.length; ) {
    let [end, humans, machines] = [at, 0, 0];
    for (; end < all.length && all[end]?.score === all[at]?.score; end += 1) {
      machines += all[end]?.is ?? 0;
      humans += 1 - (all[end]?.is ?? 0);
    }
    wins += machines * (below + humans / 2);
    below += humans;
    at = end;
  }
  return wins / (human.length * machine.length);
}
