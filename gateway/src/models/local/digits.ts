/** The generator of handwritten digits, whose weights are in the package. */
import { DigitGenerator } from 'pilotlight';
import type { Loaded, LoadRequest } from './loader.ts';

/** A digit takes as long as about so many tokens of MiniLM. */
const DIGIT_TOKENS = 256;

/** Digits are drawn in one call, which yields between layers: it must not count as a queue that nobody else may join. */
const MAX_TOKENS = 1024;

export async function loadDigits({ compute }: LoadRequest): Promise<Loaded> {
  const generator = await DigitGenerator.load();
  return {
    calls: {
      async digits({ digits, seed, steps, guidance }, { signal }) {
        const draw = {
          digits,
          seed,
          signal,
          ...(steps !== undefined && { steps }),
          ...(guidance !== undefined && { guidance }),
        };
        const tokens = Math.min(MAX_TOKENS, DIGIT_TOKENS * digits.length);
        const drawn = await compute.run(tokens, () => generator.generate(draw));
        return { data: drawn.data, dims: drawn.dims, seed: drawn.seed, digits: drawn.digits };
      },
    },
    dispose: () => generator.dispose(),
  };
}
