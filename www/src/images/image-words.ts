import { count } from '../page/format';
import type { Found, Wanted } from './useImageSearch';

function wantedWords(wanted: Wanted): string {
  return 'like' in wanted ? `what is like “${wanted.like.name}”` : `“${wanted.text}”`;
}

/** The result of a search for screen readers. */
export function foundWords(found: Found | null): string {
  const best = found?.scored[0];
  if (!found || !best) return '';
  return `${count(found.scored.length, 'image')} for ${wantedWords(found.wanted)}, the best first: ${best.image.name}, score ${best.score.toFixed(2)}.`;
}
