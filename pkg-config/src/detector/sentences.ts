import type { Normalized } from './normalize.js';

/** A sentence, by its indices in the normalized text. */
export interface Span {
  start: number;
  end: number;
}

interface Segmenter {
  segment(text: string): Iterable<{ segment: string; index: number }>;
}

interface WithSegmenter {
  Segmenter?: new (locale: string, options: { granularity: 'sentence' }) => Segmenter;
}

/** A sentence where there is no `Intl.Segmenter`: up to a full stop, question or exclamation mark, and the quotes and spaces after it. */
const PLAIN = /[^.!?]*[.!?]+["')\]]*(?:\s+|$)|[^.!?]+$|./gs;

/** Cuts a normalized text into sentences, without the spaces between them. */
export function sentencesOf(text: string, { Segmenter }: WithSegmenter = Intl as WithSegmenter): Span[] {
  const segments = Segmenter
    ? Array.from(new Segmenter('en', { granularity: 'sentence' }).segment(text), ({ segment }) => segment)
    : (text.match(PLAIN) ?? []);
  const spans: Span[] = [];
  let at = 0;
  for (const segment of segments) {
    const end = at + segment.trimEnd().length;
    if (end > at) spans.push({ start: at, end });
    at += segment.length;
  }
  return spans;
}

/** The place of a sentence in the text of the user; the punctuation that ends a text which was read whole belongs to the last one. */
export function placeOf({ start, end }: Span, { text, origins }: Normalized, original: string, isWhole = true): Span {
  const stop = isWhole && end === text.length ? original.trimEnd().length : (origins[end] ?? original.length);
  return { start: origins[start] ?? 0, end: stop };
}
