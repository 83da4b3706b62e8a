import { count } from '../page/format';
import type { Found, Wanted } from './usePictureSearch';

/** A guess, once there is something to guess from. */
export function timeLeft(done: number, total: number, ms: number): string {
  if (done < 3 || ms < 1000) return '';
  const seconds = ((total - done) * ms) / done / 1000;
  if (seconds < 2) return 'almost done';
  return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
}

function wantedWords(wanted: Wanted): string {
  return 'like' in wanted ? `what is like “${wanted.like.name}”` : `“${wanted.text}”`;
}

/** For a screen reader. */
export function foundWords(found: Found | null): string {
  const best = found?.scored[0];
  if (!found || !best) return '';
  return `${count(found.scored.length, 'picture')} for ${wantedWords(found.wanted)}, the best first: ${best.picture.name}, score ${best.score.toFixed(2)}.`;
}
