import type { LoadProgress } from 'pilotlight';

/** The first step of a load that starts at the beginning is smaller. */
const MORE_THAN_ONE_STEP = 2e6;

/** Hears from a load's progress whether it goes on where an earlier one broke off: then the first step of its weights is a leap. */
export function resumption() {
  let small = 0;
  let at: number | null = null;
  return {
    see({ status, cached, file, loaded }: LoadProgress) {
      if (status !== 'download' || cached || at !== null) return;
      if (file?.endsWith('.safetensors')) at = loaded - small > MORE_THAN_ONE_STEP ? loaded : 0;
      else small = loaded;
    },
    /** Bytes that were here already, give or take the first step; 0 while that is not known. */
    at: () => at ?? 0,
  };
}
