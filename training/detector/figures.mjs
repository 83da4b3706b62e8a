/** Figures of heads: on domains and generators that they were not fitted to, and on kinds of writers. */
import { byKind, groupOf, lengthsFor } from './fits.mjs';
import { BIAS_SETS, DOMAINS, GENERATORS } from './rows.mjs';

const RESAMPLES = 200;
const SEED = 20261126;

/** Random numbers in [0, 1) that are the same everywhere. *Source*: mulberry32. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const share = (list, threshold) => list.filter((score) => score > threshold).length / Math.max(1, list.length);
const round = (value) => Number(value.toFixed(4));

/** The figures of examples with their scores, with 95 % intervals by resampling articles. */
export function figuresOf(examples, scores, thresholds, auroc) {
  const measure = (pairs) => {
    const [human, machine] = byKind(
      pairs.map(([one]) => one),
      pairs.map(([, score]) => score),
    );
    return {
      auroc: human.length && machine.length ? auroc(human, machine) : Number.NaN,
      falseAlarms1: share(human, thresholds.machine),
      falseAlarms5: share(human, thresholds.sign),
      caught1: share(machine, thresholds.machine),
      caught5: share(machine, thresholds.sign),
    };
  };
  const pairs = examples.map((one, i) => [one, scores[i]]);
  const byHuman = new Map();
  for (const pair of pairs) byHuman.set(groupOf(pair[0]), [...(byHuman.get(groupOf(pair[0])) ?? []), pair]);
  const groups = [...byHuman.values()];
  const next = random(SEED);
  const samples = Array.from({ length: RESAMPLES }, () =>
    measure(Array.from(groups, () => groups[Math.floor(next() * groups.length)]).flat()),
  );
  const [human, machine] = byKind(examples, scores);
  const figures = { human: human.length, machine: machine.length };
  for (const [name, value] of Object.entries(measure(pairs))) {
    const sorted = samples.map((one) => one[name]).sort((a, b) => a - b);
    const at = (rate) => round(sorted[Math.min(RESAMPLES - 1, Math.floor(rate * RESAMPLES))]);
    figures[name] = { value: round(value), interval: [at(0.025), at(0.975)] };
  }
  return figures;
}

/** Measures for each domain a head that was fitted, calibrated and chosen on the others. */
export async function heldOutDomains(examples, fits, { auroc, shareInterval, MIN_TOKENS }) {
  const table = {};
  for (const domain of DOMAINS) {
    const seen = examples.filter((one) => one.domain !== domain);
    const held = examples.filter((one) => one.domain === domain);
    const { C } = await fits.choose(seen);
    const thresholds = await fits.thresholdsFor(held, seen, C);
    const head = await fits.fit(seen, C);
    const scores = await fits.scores(head, held);
    head.free();
    const figures = figuresOf(held, scores, thresholds, auroc);
    const lengths = lengthsFor(held, MIN_TOKENS).map((length) => (Number.isFinite(length) ? length : 'whole'));
    table[domain] = {
      C,
      lengths,
      ...figures,
      judged: judgedFigures(held, scores, thresholds, MIN_TOKENS, shareInterval),
    };
  }
  return table;
}

/** The texts of a domain that are long enough to be judged, and how many are above the threshold. */
function judgedFigures(examples, list, { machine: threshold }, least, shareInterval) {
  const isLong = examples.map(({ tokens }) => tokens >= least);
  const long = (values) => values.filter((_, i) => isLong[i]);
  const [human, machine] = byKind(long(examples), long(list));
  const above = (scores) => scores.filter((score) => score > threshold).length;
  const interval1 = human.length > 0 ? shareInterval(above(human), human.length).map(round) : null;
  return { human: human.length, above1: above(human), interval1, machine: machine.length, caught1: above(machine) };
}

/** Measures for each generator heads that were fitted to the others, and to other human texts. */
export async function heldOutGenerators(examples, fits, { auroc, MIN_TOKENS }, C) {
  const table = {};
  for (const generator of GENERATORS) {
    const isHeld = examples.map((one) => one.generator === generator);
    const others = (list) => list.filter((_, i) => !isHeld[i]);
    const own = (list) => list.filter((_, i) => isHeld[i]);
    const lengths = [Number.POSITIVE_INFINITY, MIN_TOKENS];
    const lists = await fits.outOfFold(examples, C, { lengths, train: (one) => one.generator !== generator });
    const thresholds = fits.thresholdsOf(others(examples), lists.map(others));
    table[generator] = figuresOf(own(examples), own(lists[0]), thresholds, auroc);
  }
  return table;
}

/** Counts for each set of writers the texts above the thresholds, and those with the verdict `machine`. */
export function biasFigures(examples, head, { scoreOf, distanceOf, shareInterval, isEnglish, MIN_TOKENS }) {
  const table = {};
  for (const name of BIAS_SETS) {
    const own = examples.filter(({ domain }) => domain === name);
    const above = (threshold) => own.filter(({ features }) => scoreOf(head, features) > threshold).length;
    const verdict = own.filter(
      ({ features, tokens, plain }) =>
        scoreOf(head, features) > head.thresholds.machine &&
        tokens >= MIN_TOKENS &&
        isEnglish(plain) &&
        distanceOf(head, features) <= head.gate,
    ).length;
    const above1 = above(head.thresholds.machine);
    table[name] = {
      texts: own.length,
      above1,
      interval1: shareInterval(above1, own.length).map(round),
      above5: above(head.thresholds.sign),
      machine: verdict,
      outsideGate: own.filter(({ features }) => distanceOf(head, features) > head.gate).length,
    };
  }
  return table;
}
