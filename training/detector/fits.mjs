/** Fits of the head, with folds that keep the texts about one human text together. */
import { createHash } from 'node:crypto';
import { shortened } from './examples.mjs';

const FOLDS = 5;

/** The penalties to choose from. */
export const PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1];

/** The least number of human texts whose highest score is one that 1 % of such texts reach: 1 in 99 + 1. */
export const TEXTS_FOR_ONE_PERCENT = 99;

/** The number of an article's first letters and digits by which it is recognized; no text has fewer. */
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

/**
 * The numbers of tokens that human texts are cut to when thresholds are sought for texts of a domain: the whole texts and the shortest ones that
 * are judged, whose scores scatter more. Where most texts of the domain are shorter than that, it is their median.
 */
export function lengthsFor(examples, least) {
  const tokens = examples.map((one) => one.tokens).sort((a, b) => a - b);
  const median = tokens[tokens.length >> 1];
  return median < least ? [median] : [Number.POSITIVE_INFINITY, least];
}

/** Makes the functions that fit heads in a core. */
export function fitter({ VectorHead, columnsOf, auroc, upperThreshold, featuresOf, MIN_TOKENS }, core) {
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

  /**
   * Scores each example by a head that has not seen its human text, as it is and cut to each of some numbers of tokens. `train` chooses what of
   * the rest a fit may see. The result has a list of scores for each length.
   */
  async function outOfFold(examples, C, { lengths = [Number.POSITIVE_INFINITY], train = () => true } = {}) {
    const out = lengths.map(() => new Map());
    for (let fold = 0; fold < FOLDS; fold += 1) {
      const head = await fit(
        examples.filter((one) => foldOf(one) !== fold && train(one)),
        C,
      );
      const held = examples.filter((one) => foldOf(one) === fold);
      for (const [at, length] of lengths.entries()) {
        const list = await scores(
          head,
          held.map((one) => shortened(one, length, featuresOf)),
        );
        for (const [i, one] of held.entries()) out[at].set(one, list[i]);
      }
      head.free();
    }
    return out.map((scoreOf) => examples.map((one) => scoreOf.get(one)));
  }

  /** Chooses the penalty by domains that heads were not fitted to, among the given examples; `chosenOf` is the rule. */
  async function choose(examples) {
    const list = [];
    for (const C of PENALTIES) {
      const domains = [];
      for (const domain of new Set(examples.map((one) => one.domain))) {
        const seen = examples.filter((one) => one.domain !== domain);
        const held = examples.filter((one) => one.domain === domain);
        const { machine: threshold } = await thresholdsFor(held, seen, C);
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

  /**
   * The scores that 1 % and 5 % of the human examples reach in the domain and at the length where they score highest, of those that are long enough
   * to be judged. A threshold of all together would be worth 1 % on average, and several times as much for one kind of text.
   */
  function thresholdsOf(examples, lists) {
    const judged = new Set(judgedHumans(examples, MIN_TOKENS));
    const domains = [...new Set(Array.from(judged, ({ domain }) => domain))];
    const groups = lists.flatMap((list) =>
      domains.map((domain) => list.filter((_, i) => judged.has(examples[i]) && examples[i].domain === domain)),
    );
    const enough = groups.filter(({ length }) => length >= TEXTS_FOR_ONE_PERCENT);
    const highest = (rate) => Math.max(...enough.map((scores) => upperThreshold(scores, rate).threshold));
    return { machine: highest(0.01), sign: highest(0.05) };
  }

  /** The thresholds for texts of a domain, from other examples, at the lengths of that domain. */
  async function thresholdsFor(held, seen, C) {
    const lengths = lengthsFor(held, MIN_TOKENS);
    return thresholdsOf(seen, await outOfFold(seen, C, { lengths }));
  }

  return { fit, scores, outOfFold, choose, aurocOf, thresholdsOf, thresholdsFor };
}

/** The scores of human texts and those of machines. */
export function byKind(examples, list) {
  const human = list.filter((_, i) => !examples[i].isMachine);
  const machine = list.filter((_, i) => examples[i].isMachine);
  return [human, machine];
}
