/** Fits of the head, with folds that keep the texts about one human text together. */
import { createHash } from 'node:crypto';

const FOLDS = 5;

/** The penalties to choose from. */
export const PENALTIES = [0.001, 0.01, 0.1, 1];

/** The fold of a human text and of all machine texts that answer it. It follows from the text alone. */
export const foldOf = ({ human }) => createHash('sha256').update(human).digest()[0] % FOLDS;

/** Makes the functions that fit heads in a core. */
export function fitter({ VectorHead, auroc, upperThreshold }, core) {
  async function fit(examples, C) {
    const rows = examples.map(({ features }) => features);
    const isMachine = examples.map((one) => one.isMachine);
    return VectorHead.fit(core, rows, isMachine, { head: 'linear-svm', C });
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

  /** Scores each example by a head that was fitted to the other domains. */
  async function outOfDomain(examples, C) {
    const out = new Map();
    for (const domain of new Set(examples.map((one) => one.domain))) {
      const head = await fit(
        examples.filter((one) => one.domain !== domain),
        C,
      );
      const held = examples.filter((one) => one.domain === domain);
      const list = await scores(head, held);
      for (const [i, one] of held.entries()) out.set(one, list[i]);
      head.free();
    }
    return examples.map((one) => out.get(one));
  }

  /** Chooses the penalty by which heads rank texts best in a domain that they were not fitted to, among the given examples. */
  async function choose(examples) {
    const domains = [...new Set(examples.map(({ domain }) => domain))];
    let best = { C: PENALTIES[0], mean: -1 };
    for (const C of PENALTIES) {
      const list = await outOfDomain(examples, C);
      const sum = domains.reduce((total, domain) => {
        const isOwn = examples.map((one) => one.domain === domain);
        const own = (values) => values.filter((_, i) => isOwn[i]);
        return total + aurocOf(own(examples), own(list));
      }, 0);
      // A smaller penalty on errors must be beaten by more than noise.
      if (sum / domains.length > best.mean + 0.002) best = { C, mean: sum / domains.length };
    }
    return best.C;
  }

  const aurocOf = (examples, list) => auroc(...byKind(examples, list));

  /** The scores that 1 % and 5 % of human examples reach. */
  function thresholdsOf(examples, list) {
    const [human] = byKind(examples, list);
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
