import type { DetectionReason, DetectionVerdict } from '../../types/index.js';
import { RATES, TEXTS_FOR_ONE_PERCENT } from './calibration.js';
import type { Aspect, Thresholds } from './head.js';
import { probabilityOf } from './head.js';
import { MAX_WINDOWS, WINDOW_WORDS } from './windows.js';

/** The least tokens of a text that is judged. */
export const MIN_TOKENS = 100;

/** The facts on which the verdict about a text depends. */
export interface Facts {
  /** The score; absent if the text was not read because it is empty or not English. */
  score?: number;
  /** The thresholds; absent if none were measured for the model. */
  thresholds?: Thresholds;
  tokens: number;
  isEmpty: boolean;
  isEnglish: boolean;
  /** Whether the text is like those of the fit. */
  isNear: boolean;
  /** Whether all of the text was read. */
  isWhole: boolean;
  /** Whether the model itself did not read all tokens. */
  isCut?: boolean;
  /** The expected share of human texts above the threshold; absent for the package's head, whose share is 1 %. */
  worth?: number;
  /** The number of the user's own texts that the thresholds come from. */
  own?: number;
  /** The amount that each aspect adds to the score, if it is known. */
  aspects?: Record<Aspect, number>;
}

export interface Judgement {
  verdict: DetectionVerdict;
  probability: number | null;
  reasons: DetectionReason[];
}

const SUBJECTS: Record<Aspect, string> = {
  foreseen: 'How well a language model foresees the words',
  expected: 'How surprising the words are for the doubt that the model had',
  even: 'How evenly easy and surprising passages take turns',
};

/** An aspect that moves the score by less is not worth a sentence. */
const LEAST_SHARE = 0.2;

const HINT =
  'This is a hint for a person who knows the context, never proof. Do not use it to grade, punish, hire or accuse.';

/**
 * Judges a text by rules. It is never called human. It is called `machine` only where it is long enough, English, like the texts that the
 * head knows, and scores higher than the threshold of 1 % of human texts; and `no sign` only where the same holds and its score is not above
 * the one that 5 % of human texts reach. A text that cannot be judged has no reasons for or against, and only `machine` has a probability.
 */
export function judge(facts: Facts): Judgement {
  const { score, thresholds } = facts;
  const limits = limitsOf(facts);
  const notes = noteOf(facts);
  if (score === undefined || !thresholds || limits.length > 0) return uncertain([...limits, ...notes]);
  const evidence = [...evidenceOf(facts), ...notes];
  const words = wordsOf(facts.own);
  const { worth = RATES.machine } = facts;
  if (score > thresholds.machine && worth > RATES.machine) return uncertain([limit(worthOf(worth)), ...evidence]);
  if (score > thresholds.machine)
    return {
      verdict: 'machine',
      probability: probabilityOf(score),
      reasons: [{ side: 'for', text: words.machine }, ...evidence, limit(HINT)],
    };
  if (score > thresholds.sign) return uncertain([limit(words.between), ...evidence]);
  return {
    verdict: 'no sign',
    probability: null,
    reasons: [
      { side: 'against', text: words.usual },
      ...evidence,
      limit('No sign does not mean that a human wrote it.'),
    ],
  };
}

/** Returns a sentence for each range of scores, about the package's human texts or about `own` texts of the user. */
function wordsOf(own: number | undefined): { machine: string; between: string; usual: string } {
  if (own === undefined)
    return {
      machine: 'Of the human texts that the threshold comes from, one in a hundred scores as high.',
      between: 'The score is high, but more than one in a hundred human texts scores as high.',
      usual: 'More than one in twenty human texts scores as high.',
    };
  return {
    machine: `The score is above the threshold that your ${own} texts set.`,
    between: `The score is high for your ${own} texts, but not above the threshold that they set.`,
    usual: `More than one in twenty of your ${own} texts scores as high.`,
  };
}

const worthOf = (worth: number): string =>
  `The score is above the threshold, but that is one of so few human texts that one in ${Math.round(1 / worth)} may score as high; ${TEXTS_FOR_ONE_PERCENT} texts are needed for one in a hundred.`;

const limit = (text: string): DetectionReason => ({ side: 'limit', text });

const uncertain = (reasons: DetectionReason[]): Judgement => ({ verdict: 'uncertain', probability: null, reasons });

/** Returns the reasons why a text cannot be judged; none if it can. */
function limitsOf({ score, thresholds, tokens, isEmpty, isEnglish, isNear }: Facts): DetectionReason[] {
  if (isEmpty) return [limit('The text is empty.')];
  if (!isEnglish) return [limit('The text does not look English, and only English texts can be judged.')];
  const limits: DetectionReason[] = [];
  if (tokens < MIN_TOKENS)
    limits.push(limit(`The text has ${tokens} tokens; a text can be judged from ${MIN_TOKENS} on.`));
  if (!isNear)
    limits.push(limit('The text is unlike those that the detector was fitted to, so its score says little.'));
  if (score !== undefined && !thresholds)
    limits.push(limit('No threshold is known for this model: calibrate() finds one from human texts.'));
  return limits;
}

function noteOf({ isWhole, isCut, tokens }: Facts): DetectionReason[] {
  if (isCut) return [limit(`Only ${tokens} tokens of the text were read.`)];
  return isWhole
    ? []
    : [limit(`Only the start was read: of ${WINDOW_WORDS * MAX_WINDOWS} words at most, fewer where they are long.`)];
}

/** Returns the reasons for and against a machine's authorship, the strongest first. */
function evidenceOf({ aspects }: Facts): DetectionReason[] {
  if (!aspects) return [];
  return (Object.keys(SUBJECTS) as Aspect[])
    .filter((aspect) => Math.abs(aspects[aspect]) >= LEAST_SHARE)
    .sort((a, b) => Math.abs(aspects[b]) - Math.abs(aspects[a]))
    .map((aspect) => {
      const side = aspects[aspect] > 0 ? 'for' : 'against';
      const kind = side === 'for' ? 'machine' : 'human';
      return { side, text: `${SUBJECTS[aspect]} is more as in the ${kind} texts that the detector was fitted to.` };
    });
}
