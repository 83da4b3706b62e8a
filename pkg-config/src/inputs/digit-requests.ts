import type { GenerateOptions, MorphOptions } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { Drawn } from '../outputs/digits.js';

/** The digits to draw: seven numbers for each, which the core takes, and the values that are returned to the caller. */
export interface DigitRequests extends Drawn {
  numbers: Float64Array;
}

/** The class and the noise from which a digit is drawn. `index` distinguishes the digits of a seed. */
interface Latent {
  digit: number;
  seed: number;
  index: number;
}

/** The most digits of one call. The core has the same limit. */
const MAX_DIGITS = 10_000;

/** Requests a list of digits, `count` times over. */
export function generateRequests(options: GenerateOptions): DigitRequests {
  const { count = 1 } = options;
  const list = digitsOf(options);
  checkWhole('count', count, 1, Math.floor(MAX_DIGITS / list.length));
  const seed = seedOf('seed', options.seed);
  const digits = Array.from({ length: count }, () => list).flat();
  const latents = digits.map((digit, index) => ({ digit, seed, index }));
  // A number is laid out in a row, one digit drawn many times in a square.
  const columns = list.length > 1 ? list.length : Math.ceil(Math.sqrt(count));
  const numbers = Float64Array.from(latents.flatMap((latent) => numbersOf(latent, latent, 0)));
  return { numbers, digits, seed, columns };
}

/** Requests evenly spaced digits on the way from one latent to another. */
export function morphRequests({ from, to, count = 9, seed }: MorphOptions): DigitRequests {
  checkWhole('count', count, 2, MAX_DIGITS);
  const first = latentOf('from', from, seed);
  const last = latentOf('to', to, first.seed);
  const positions = Array.from({ length: count }, (_, i) => i / (count - 1));
  const digits = positions.map((t) => (t < 0.5 ? first : last).digit);
  return {
    numbers: Float64Array.from(positions.flatMap((t) => numbersOf(first, last, t))),
    digits,
    seed: first.seed,
    columns: count,
  };
}

/** The seven numbers of one digit, which lies at `t`, 0 to 1, between two latents. */
function numbersOf(from: Latent, to: Latent, t: number): number[] {
  return [from.digit, from.seed, from.index, to.digit, to.seed, to.index, t];
}

function digitsOf({ digit, digits, text }: GenerateOptions): number[] {
  const given = Object.entries({ digit, digits, text }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const got = given.length === 0 ? 'none' : given.map(([name]) => name).join(' and ');
    throw new PilotlightError('INVALID_INPUT', `digit, digits, text: expected one of them, got ${got}`);
  }
  if (text !== undefined) {
    if (typeof text !== 'string' || !/^[0-9]+$/.test(text)) {
      throw new PilotlightError(
        'INVALID_INPUT',
        `text: expected digits from 0 to 9, such as '2026', got ${typeof text === 'string' ? `'${text}'` : typeof text}`,
      );
    }
    return checkLength('text', Array.from(text, Number));
  }
  if (digits === undefined) return [checkDigit('digit', digit)];
  if (!Array.isArray(digits) || digits.length === 0) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `digits: expected an array of digits from 0 to 9, got ${Array.isArray(digits) ? 'an empty one' : typeof digits}`,
    );
  }
  return checkLength('digits', digits).map((value, i) => checkDigit(`digits[${i}]`, value));
}

function checkLength<T>(name: string, list: T[]): T[] {
  if (list.length <= MAX_DIGITS) return list;
  throw new PilotlightError('INVALID_INPUT', `${name}: expected ${MAX_DIGITS} digits at most, got ${list.length}`);
}

function latentOf(name: string, end: unknown, defaultSeed: unknown): Latent {
  if (typeof end !== 'object' || end === null) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: expected an object with a digit, got ${end === null ? 'null' : typeof end}`,
    );
  }
  const { digit, seed = defaultSeed } = end as { digit?: unknown; seed?: unknown };
  return { digit: checkDigit(`${name}.digit`, digit), seed: seedOf(`${name}.seed`, seed), index: 0 };
}

function checkDigit(name: string, digit: unknown): number {
  return checkWhole(name, digit, 0, 9);
}

/** Returns the caller's seed, checked, or a fresh one, which the caller gets as `Digits.seed`. */
function seedOf(name: string, seed: unknown): number {
  return seed === undefined ? Math.floor(Math.random() * 2 ** 32) : checkWhole(name, seed, 0, Number.MAX_SAFE_INTEGER);
}

function checkWhole(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  const got = typeof value === 'number' ? String(value) : typeof value;
  throw new PilotlightError('INVALID_INPUT', `${name}: expected a whole number from ${least} to ${most}, got ${got}`);
}
