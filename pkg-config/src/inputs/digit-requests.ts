import type { GenerateOptions, MorphOptions } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { Drawn } from '../outputs/digits.js';

/** What the core takes, seven numbers for each picture, and what of it the caller is told. */
export interface DigitRequests extends Drawn {
  numbers: Float64Array;
}

/** Where a picture begins. `index` tells the pictures of a seed apart. */
interface Start {
  digit: number;
  seed: number;
  index: number;
}

const MOST_PICTURES = 10_000;

/** A list of digits, `count` times over. */
export function generateRequests(options: GenerateOptions): DigitRequests {
  const { count = 1 } = options;
  const list = digitsOf(options);
  checkWhole('count', count, 1, Math.floor(MOST_PICTURES / list.length));
  const seed = seedOf('seed', options.seed);
  const digits = Array.from({ length: count }, () => list).flat();
  const starts = digits.map((digit, index) => ({ digit, seed, index }));
  // A number is written in a row; one digit many times makes a square.
  const columns = list.length > 1 ? list.length : Math.ceil(Math.sqrt(count));
  return { numbers: Float64Array.from(starts.flatMap((start) => numbersOf(start, start, 0))), digits, seed, columns };
}

/** Evenly spaced pictures from one start to another. */
export function morphRequests({ from, to, count = 9, seed }: MorphOptions): DigitRequests {
  checkWhole('count', count, 2, MOST_PICTURES);
  const first = startOf('from', from, seed);
  const last = startOf('to', to, first.seed);
  const mixes = Array.from({ length: count }, (_, i) => i / (count - 1));
  const digits = mixes.map((mix) => (mix < 0.5 ? first : last).digit);
  return {
    numbers: Float64Array.from(mixes.flatMap((mix) => numbersOf(first, last, mix))),
    digits,
    seed: first.seed,
    columns: count,
  };
}

function numbersOf(from: Start, to: Start, mix: number): number[] {
  return [from.digit, from.seed, from.index, to.digit, to.seed, to.index, mix];
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
  if (list.length <= MOST_PICTURES) return list;
  throw new PilotlightError('INVALID_INPUT', `${name}: expected ${MOST_PICTURES} digits at most, got ${list.length}`);
}

function startOf(name: string, start: unknown, usual: unknown): Start {
  if (typeof start !== 'object' || start === null) {
    throw new PilotlightError(
      'INVALID_INPUT',
      `${name}: expected an object with a digit, got ${start === null ? 'null' : typeof start}`,
    );
  }
  const { digit, seed = usual } = start as { digit?: unknown; seed?: unknown };
  return { digit: checkDigit(`${name}.digit`, digit), seed: seedOf(`${name}.seed`, seed), index: 0 };
}

function checkDigit(name: string, digit: unknown): number {
  return checkWhole(name, digit, 0, 9);
}

/** A seed of the caller's, or a fresh one, which is then told with the pictures. */
function seedOf(name: string, seed: unknown): number {
  return seed === undefined ? Math.floor(Math.random() * 2 ** 32) : checkWhole(name, seed, 0, Number.MAX_SAFE_INTEGER);
}

function checkWhole(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  const got = typeof value === 'number' ? String(value) : typeof value;
  throw new PilotlightError('INVALID_INPUT', `${name}: expected a whole number from ${least} to ${most}, got ${got}`);
}
