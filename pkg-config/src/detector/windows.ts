/** The most words that are read at once: those of the longest texts that the head was trained on. */
export const WINDOW_WORDS = 160;

/** The most characters of a window, whatever its words are. */
const WINDOW_LENGTH = 2400;

/** The most windows of a text that are read. */
export const MAX_WINDOWS = 16;

/** A part of a text that a model reads by itself. Indices are those of the normalized text. */
export interface Window {
  start: number;
  end: number;
  /** The start of the part that is in no earlier window. */
  fresh: number;
}

/**
 * Cuts a normalized text into windows of as many words as the texts that the head was trained on have, because a model is less
 * surprised the more it has read; of fewer words where these are long. No text is left out between windows. The last one is as long as the
 * others and reaches back into those before, so that a text does not get another score at once when it has one word more. Of a text
 * that takes more than `MAX_WINDOWS`, only the start is read.
 */
export function windowsOf(text: string): { windows: Window[]; isWhole: boolean } {
  // One word more than is ever read, to know whether there is more.
  const words = wordsOf(text, WINDOW_WORDS * MAX_WINDOWS + 1);
  const lengthOf = (first: number, end: number): number => (words[end - 1]?.end ?? 0) - (words[first]?.start ?? 0);
  const fits = (first: number, end: number): boolean =>
    end - first <= WINDOW_WORDS && lengthOf(first, end) <= WINDOW_LENGTH;
  const windows: Window[] = [];
  let first = 0;
  while (first < words.length && windows.length < MAX_WINDOWS) {
    // A word alone always fits.
    let end = first + 1;
    while (end < words.length && fits(first, end + 1)) end += 1;
    let start = first;
    if (end === words.length) while (start > 0 && fits(start - 1, end)) start -= 1;
    windows.push({ start: words[start]?.start ?? 0, end: words[end - 1]?.end ?? 0, fresh: words[first]?.start ?? 0 });
    first = end;
  }
  return { windows, isWhole: first === words.length };
}

/** The places of the first words, `most` at most. A word that is longer than a window is cut into words that are not. */
function wordsOf(text: string, most: number): { start: number; end: number }[] {
  const words: { start: number; end: number }[] = [];
  for (let start = 0; start < text.length && words.length < most; ) {
    const space = text.indexOf(' ', start);
    const stop = space < 0 ? text.length : space;
    let end = Math.min(stop, start + WINDOW_LENGTH);
    // A word must not be cut between the halves of a surrogate pair.
    if (end < stop && /[\udc00-\udfff]/.test(text[end] ?? '')) end -= 1;
    words.push({ start, end });
    start = end === stop ? stop + 1 : end;
  }
  return words;
}
