import { LOOK_ALIKES } from './look-alikes.js';

/** A text as the detector reads it, and where its characters come from. */
export interface Normalized {
  text: string;
  /** For each UTF-16 unit of `text` the index in the original of the character that it came from; one entry more, for the end. */
  origins: Uint32Array;
}

/** A character with the marks that are combined with it, so that both ways to write an accent are one. */
const CLUSTERS = /[^\p{M}]\p{M}*|\p{M}+/gsu;

/** Invisible characters: format characters such as zero-width and bidi controls, variation selectors and fillers. */
const INVISIBLE = /\p{Cf}|\u034f|[\u115f\u1160\u3164\uffa0]|[\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}]/gu;
/** White space, and control characters, which are treated as white space. */
const SPACE = /^[\p{Z}\p{Cc}]$/u;

/** Fullwidth characters, mathematical letters and ligatures, which NFKC maps to plain letters. */
const DRESSED = /^[\uff01-\uff5e\u{1d400}-\u{1d7ff}\ufb00-\ufb06]/u;

/** The ASCII forms of typographic quotes, dashes and dots. */
const PLAIN: Readonly<Record<string, string>> = {
  '\u2018': "'",
  '\u2019': "'",
  '\u201c': '"',
  '\u201d': '"',
  '\u201a': "'",
  '\u201b': "'",
  '\u201e': '"',
  '\u201f': '"',
  '\u00ab': '"',
  '\u00bb': '"',
  '\u2032': "'",
  '\u2033': '"',
  '\u00b4': "'",
  '\u2010': '-',
  '\u2011': '-',
  '\u2012': '-',
  '\u2013': '-',
  '\u2014': '-',
  '\u2015': '-',
  '\u2212': '-',
  '\u2026': '...',
  // The same characters in Windows-1252, decoded as Latin-1.
  '\u0091': "'",
  '\u0092': "'",
  '\u0093': '"',
  '\u0094': '"',
  '\u0096': '-',
  '\u0097': '-',
};

const MARK = /^\p{M}/u;
const LETTER = /^\p{L}/u;
const LATIN = /^\p{Script=Latin}/u;
const GREEK = /^\p{Script=Greek}/u;

/** The punctuation and the symbols at the end. */
const ENDING = /[\s\p{P}\p{S}]+$/u;

/** The least share of Latin letters in a text, look-alikes not counted, for a word of look-alikes alone to be taken for Latin. */
const MOSTLY = 0.75;

/**
 * Brings a text to the form in which the head was trained, so that changes by a keyboard, an editor or copying make no difference:
 * white space becomes one space, typographic quotes, dashes and dots become plain ones, invisible characters are left out, letters that
 * only look Latin become Latin, and the punctuation or the symbol that ends the text is not read, so that a text with its last full stop and
 * without it are the same.
 */
export function normalize(original: string): Normalized {
  const { pieces, starts } = plain(original);
  latinize(pieces);
  const [joined, origins] = join(pieces, starts, original.length);
  const text = joined.replace(ENDING, '');
  return { text, origins: origins.slice(0, text.length + 1) };
}

/** The visible characters in plain form, and the index at which each begins. Runs of white space are one space, none at the start. */
function plain(original: string): { pieces: string[]; starts: number[] } {
  const pieces: string[] = [];
  const starts: number[] = [];
  const add = (piece: string, start: number): void => {
    const last = pieces.at(-1);
    // Two accents or two apostrophes are a quote in plain text.
    if ((piece === "'" || piece === '`') && last === piece) {
      pieces[pieces.length - 1] = '"';
      return;
    }
    // Two hyphens are a dash.
    if (piece === '-' && last === '-') return;
    // The characters between a letter and its accent were invisible.
    if (last !== undefined && MARK.test(piece)) {
      pieces[pieces.length - 1] = `${last}${piece}`.normalize('NFC');
      return;
    }
    pieces.push(piece);
    starts.push(start);
  };
  for (const { 0: cluster, index } of original.matchAll(CLUSTERS)) {
    const plainForm = PLAIN[cluster];
    if (plainForm !== undefined) {
      add(plainForm, index);
      continue;
    }
    if (SPACE.test(cluster)) {
      if (pieces.length > 0 && pieces.at(-1) !== ' ') add(' ', index);
      continue;
    }
    const seen = cluster.replace(INVISIBLE, '');
    if (seen === '') continue;
    if (PLAIN[seen] !== undefined) add(PLAIN[seen], index);
    else add(DRESSED.test(seen) ? seen.normalize('NFKC') : seen.normalize('NFC'), index);
  }
  return { pieces, starts };
}

/** Replaces letters that only look Latin, in words where all others are Latin. */
function latinize(pieces: string[]): void {
  let [latin, foreign] = [0, 0];
  for (const piece of pieces) {
    if (LOOK_ALIKES.has(piece) || !LETTER.test(piece)) continue;
    if (LATIN.test(piece)) latin += 1;
    else foreign += 1;
  }
  const isLatin = latin >= MOSTLY * (latin + foreign) && latin > 0;
  for (let end = 0; end < pieces.length; end += 1) {
    const start = end;
    let [own, alike, other] = [0, 0, 0];
    for (; LETTER.test(pieces[end] ?? ''); end += 1) {
      const letter = pieces[end] ?? '';
      if (LOOK_ALIKES.has(letter)) alike += 1;
      else if (LATIN.test(letter)) own += 1;
      else other += 1;
    }
    // A Greek letter alone is a symbol, as in a formula.
    if (end - start === 1 && GREEK.test(pieces[start] ?? '')) continue;
    if (alike === 0 || other > 0 || (own === 0 && !isLatin)) continue;
    for (let i = start; i < end; i += 1) pieces[i] = LOOK_ALIKES.get(pieces[i] ?? '') ?? pieces[i] ?? '';
  }
}

function join(pieces: readonly string[], starts: readonly number[], end: number): [string, Uint32Array] {
  const text = pieces.join('');
  const origins = new Uint32Array(text.length + 1);
  let at = 0;
  for (const [i, piece] of pieces.entries()) {
    origins.fill(starts[i] ?? end, at, at + piece.length);
    at += piece.length;
  }
  origins[at] = end;
  return [text, origins];
}
