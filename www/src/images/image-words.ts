import { count } from '../page/format';
import type { Found, Wanted } from './useImageSearch';

/** Estimates the time left from the images that are done; empty until there are enough of them. */
export function timeLeft(done: number, total: number, ms: number): string {
  if (done < 3 || ms < 1000) return '';
  const seconds = ((total - done) * ms) / done / 1000;
  if (seconds < 2) return 'almost done';
  return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
}

function wantedWords(wanted: Wanted): string {
  return 'like' in wanted ? `what is like “${wanted.like.name}”` : `“${wanted.text}”`;
}

/** The result of a search for screen readers. */
export function foundWords(found: Found | null): string {
  const best = found?.scored[0];
  if (!found || !best) return '';
  return `${count(found.scored.length, 'image')} for ${wantedWords(found.wanted)}, the best first: ${best.image.name}, score ${best.score.toFixed(2)}.`;
}
