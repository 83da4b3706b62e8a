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
  /** Where that begins which no window before has. */
  fresh: number;
}

/**
 * Cuts a normalized text into windows of as many words as the texts that the head was trained on have, because a model is less
 * surprised the more it has read. The last window is as long as the others and reaches back into the one before, so that a text
 * does not get another score at once when it has one word more. Of a longer text than `MAX_WINDOWS`, only the start is read.
 */
export function windowsOf(text: string): { windows: Window[]; isWhole: boolean } {
  const starts = wordStarts(text, WINDOW_WORDS * MAX_WINDOWS + 1);
  const isWhole = starts.length <= WINDOW_WORDS * MAX_WINDOWS;
  const count = isWhole ? starts.length : WINDOW_WORDS * MAX_WINDOWS;
  const endOf = (word: number): number => (word < starts.length ? (starts[word] ?? 0) - 1 : text.length);
  const windows: Window[] = [];
  for (let first = 0; first < count; first += WINDOW_WORDS) {
    const end = Math.min(first + WINDOW_WORDS, count);
    const start = starts[Math.max(0, end - WINDOW_WORDS)] ?? 0;
    windows.push({ start, end: Math.min(endOf(end), start + WINDOW_LENGTH), fresh: starts[first] ?? 0 });
  }
  return { windows, isWhole };
}

/** The indices at which the first words begin, `most` at most. */
function wordStarts(text: string, most: number): number[] {
  const starts: number[] = [];
  if (text === '') return starts;
  for (let at = 0; at >= 0 && starts.length < most; ) {
    starts.push(at);
    const space = text.indexOf(' ', at);
    at = space < 0 ? -1 : space + 1;
  }
  return starts;
}
