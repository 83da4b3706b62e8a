/** Fits of the head, with folds that keep the texts about one human text together. */
import { createHash } from 'node:crypto';

const FOLDS = 5;

/** The penalties to choose from. */
export const PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1];

/** The least number of human texts whose highest score is one that 1 % of such texts reach: 1 in 99 + 1. */
export const TEXTS_FOR_ONE_PERCENT = 99;

/** The letters and digits of an article that tell it from others; no text has fewer. */
const TOLD_BY = 70;

/**
 * The article that a human text is of, by its domain and the start of its letters and digits: the sets of two generators have the same article,
 * cut at other lengths and with other spaces.
 */
export function groupOf({ domain, human }) {
  const start = human
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')
    .slice(0, TOLD_BY);
  return `${domain} ${start}`;
}

/** The fold of an article and of all machine texts that answer it. It follows from the text alone. */
export const foldOf = (one) => createHash('sha256').update(groupOf(one)).digest()[0] % FOLDS;

/**
 * Whether a text is as long as those that the detector judges. PubMed's answers are not; they teach the head how texts are ranked, but
 * say nothing about the scores of longer ones.
 */
const isJudged = ({ tokens }, least) => tokens >= least;

/** The human texts that thresholds and scales come from: those that are long enough to be judged, or all where these are too few for 1 %. */
export function judgedHumans(examples, least) {
  const human = examples.filter(({ isMachine }) => !isMachine);
  const long = human.filter((one) => isJudged(one, least));
  return long.length >= TEXTS_FOR_ONE_PERCENT ? long : human;
}

/**
 * Chooses a penalty from `{ C, domains: [{ human, falseAlarms, caught }] }`, where each entry of `domains` is of a domain that the head was not
 * fitted to, at the threshold that 1 % of the human texts of the other domains reach. A detector that accuses is worse than one that misses:
 * of the penalties whose worst domain has the fewest false alarms, or more by no more than the standard error of that share, the one with
 * which most machine texts are caught in the mean of the domains; of equal ones the first.
 */
export function chosenOf(list) {
  const worst = list.map(({ domains }) =>
    domains.reduce((most, one) => (one.falseAlarms > most.falseAlarms ? one : most)),
  );
  const least = worst.reduce((fewest, one) => (one.falseAlarms < fewest.falseAlarms ? one : fewest));
  // One false alarm more than were seen, so that the error of none is not 0.
  const share = (least.falseAlarms * least.human + 1) / (least.human + 2);
  const limit = least.falseAlarms + Math.sqrt((share * (1 - share)) / least.human);
  const caught = ({ domains }) => domains.reduce((sum, one) => sum + one.caught, 0) / domains.length;
  return list
    .filter((_, i) => worst[i].falseAlarms <= limit)
    .reduce((best, one) => (caught(one) > caught(best) ? one : best)).C;
}

/** Makes the functions that fit heads in a core. */
export function fitter({ VectorHead, columnsOf, auroc, upperThreshold, MIN_TOKENS }, core) {
  async function fit(examples, C) {
    const rows = examples.map(({ features }) => features);
    const isMachine = examples.map((one) => one.isMachine);
    const columns = columnsOf(judgedHumans(examples, MIN_TOKENS).map(({ features }) => features));
    return VectorHead.fit(core, rows, isMachine, { head: 'linear-svm', C }, { columns });
  }

  /** The decisions of a head. Unlike probabilities they do not depend on a calibration, of which each fold would have its own. */
  async function scores(head, examples) {
    if (examples.length === 0) return [];
    const { a, b } = head.platt;
    const odds = await head.scores(examples.map(({ features }) => features));
    return odds.map((score) => -(score + b) / a);
  }

  /** Scores each example by a head that has not seen its human text. `train` chooses what of the rest a fit may see. */
  async function outOfFold(examples, C, train = () => true) {
    const out = new Map();
    for (let fold = 0; fold < FOLDS; fold += 1) {
      const head = await fit(
        examples.filter((one) => foldOf(one) !== fold && train(one)),
        C,
      );
      const held = examples.filter((one) => foldOf(one) === fold);
      const list = await scores(head, held);
      for (const [i, one] of held.entries()) out.set(one, list[i]);
      head.free();
    }
    return examples.map((one) => out.get(one));
  }

  /** Chooses the penalty by domains that heads were not fitted to, among the given examples; `chosenOf` is the rule. */
  async function choose(examples) {
    const list = [];
    for (const C of PENALTIES) {
      const domains = [];
      for (const domain of new Set(examples.map((one) => one.domain))) {
        const seen = examples.filter((one) => one.domain !== domain);
        const held = examples.filter((one) => one.domain === domain);
        const { machine: threshold } = thresholdsOf(seen, await outOfFold(seen, C));
        const head = await fit(seen, C);
        const [human, machine] = byKind(held, await scores(head, held));
        head.free();
        const above = (kind) => kind.filter((score) => score > threshold).length / kind.length;
        domains.push({ domain, human: human.length, falseAlarms: above(human), caught: above(machine) });
      }
      list.push({ C, domains });
    }
    return { C: chosenOf(list), list };
  }

  const aurocOf = (examples, list) => auroc(...byKind(examples, list));

  /** The scores that 1 % and 5 % of human examples reach, of those that are long enough to be judged. */
  function thresholdsOf(examples, list) {
    const scoreOf = new Map(examples.map((one, i) => [one, list[i]]));
    const human = judgedHumans(examples, MIN_TOKENS).map((one) => scoreOf.get(one));
    return { machine: upperThreshold(human, 0.01).threshold, sign: upperThreshold(human, 0.05).threshold };
  }

  return { fit, scores, outOfFold, choose, aurocOf, thresholdsOf };
}

/** The scores of human texts and those of machines. */
export function byKind(examples, list) {
  const human = list.filter((_, i) => !examples[i].isMachine);
  const machine = list.filter((_, i) => examples[i].isMachine);
  return [human, machine];
}
