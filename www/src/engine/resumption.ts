import type { LoadProgress } from 'pilotlight';

/** Whether a file of a model is the one with the weights. */
export const isWeights = (file: string | undefined): boolean => /\.(safetensors|bin|gguf|onnx)$/.test(file ?? '');

/**
 * Bytes: the first progress event of a load that starts at the beginning reports less than this. That of a GGUF file reports all before
 * its tensors at once, with the vocabulary.
 */
const MORE_THAN_ONE_STEP = { safetensors: 2e6, gguf: 10e6 };

/** Tells from the progress of a load whether it continues an interrupted one: then the first event for the weights reports many bytes at once. */
export function resumption() {
  let small = 0;
  let at: number | null = null;
  return {
    see({ status, cached, file, loaded }: LoadProgress) {
      if (status !== 'download' || cached || at !== null) return;
      if (isWeights(file))
        at = loaded - small > MORE_THAN_ONE_STEP[file?.endsWith('.gguf') ? 'gguf' : 'safetensors'] ? loaded : 0;
      else small = loaded;
    },
    /** The number of bytes that were stored before, to within the first event; 0 while it is unknown. */
    at: () => at ?? 0,
  };
}
