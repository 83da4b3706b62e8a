import type { LoadProgress } from 'pilotlight';

/** Bytes: the first progress event of a load that starts at the beginning reports less than this. */
const MORE_THAN_ONE_STEP = 2e6;

/** Tells from the progress of a load whether it continues an interrupted one: then the first event for the weights reports many bytes at once. */
export function resumption() {
  let small = 0;
  let at: number | null = null;
  return {
    see({ status, cached, file, loaded }: LoadProgress) {
      if (status !== 'download' || cached || at !== null) return;
      if (file?.endsWith('.safetensors')) at = loaded - small > MORE_THAN_ONE_STEP ? loaded : 0;
      else small = loaded;
    },
    /** The number of bytes that were stored before, to within the first event; 0 while it is unknown. */
    at: () => at ?? 0,
  };
}
