import type { DetectorEvaluation, HeadOptions } from '../../types/index.js';
import type { CoreInstance } from '../core/instance.js';
import { RATES } from './calibration.js';
import type { Thresholds } from './head.js';
import { shareInterval, upperThreshold } from './statistics.js';
import { VectorHead } from './vector-head.js';

/** The parts of the examples, each of which is held out once. */
const FOLDS = 5;

/** A text of a fit. */
export interface Example {
  row: ArrayLike<number>;
  /** The place of the text in the list that was given. */
  place: number;
  /** Whether the detector would judge such a text, so that thresholds can come from it. */
  isJudged: boolean;
}

/** A head, with its thresholds and evaluation on held-out texts. */
export interface Fitted {
  head: VectorHead;
  thresholds: Thresholds;
  evaluation: DetectorEvaluation;
}

/**
 * Fits a head to all rows, and five times to four fifths of them, so that thresholds come from texts that no fit has seen. The i-th
 * texts of both kinds are held out together: a human text and a machine's about the same subject stay in one fold.
 * Thresholds come from the human texts that would be judged.
 */
export async function fit(
  instance: CoreInstance,
  human: readonly Example[],
  machine: readonly Example[],
  options: HeadOptions,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (share: number) => void },
): Promise<Fitted> {
  const held: { human: number[]; machine: number[] } = { human: [], machine: [] };
  const judged: number[] = [];
  for (let fold = 0; fold < FOLDS; fold += 1) {
    const seen = ({ place }: Example): boolean => place % FOLDS !== fold;
    const isHeld = ({ place }: Example): boolean => place % FOLDS === fold;
    const head = await both(instance, human.filter(seen), machine.filter(seen), options, signal);
    try {
      const own = human.filter(isHeld);
      const scores = await head.scores(rowsOf(own), signal);
      held.human.push(...scores);
      judged.push(...scores.filter((_, i) => own[i]?.isJudged));
      held.machine.push(...(await head.scores(rowsOf(machine.filter(isHeld)), signal)));
    } finally {
      head.free();
    }
    onProgress?.((fold + 1) / (FOLDS + 1));
  }
  const head = await both(instance, human, machine, options, signal);
  onProgress?.(1);
  const { threshold, k } = upperThreshold(judged, RATES.machine);
  const thresholds = { machine: threshold, sign: upperThreshold(judged, RATES.sign).threshold };
  const caught = held.machine.filter((score) => score > thresholds.machine).length / held.machine.length;
  const evaluation = {
    human: human.length,
    machine: machine.length,
    auroc: auroc(held.human, held.machine),
    caught,
    texts: judged.length,
    falseAlarms: k / (judged.length + 1),
    interval: shareInterval(k, judged.length),
  };
  return { head, thresholds, evaluation };
}

const rowsOf = (examples: readonly Example[]): ArrayLike<number>[] => examples.map(({ row }) => row);

function both(
  instance: CoreInstance,
  human: readonly Example[],
  machine: readonly Example[],
  options: HeadOptions,
  signal: AbortSignal | undefined,
): Promise<VectorHead> {
  const isMachine = [...human.map(() => false), ...machine.map(() => true)];
  return VectorHead.fit(instance, rowsOf([...human, ...machine]), isMachine, options, { signal });
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
