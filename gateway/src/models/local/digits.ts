/** The generator of handwritten digits, whose weights are in the package. */
import { DigitGenerator } from 'pilotlight';
import { ITEM_TOKENS } from '../model.ts';
import type { Loaded, LoadRequest } from './loader.ts';

export async function loadDigits({ compute }: LoadRequest): Promise<Loaded> {
  const generator = await DigitGenerator.load();
  return {
    calls: {
      async digits({ digits, seed, steps, guidance }, { signal, job }) {
        const draw = {
          digits,
          seed,
          signal,
          ...(steps !== undefined && { steps }),
          ...(guidance !== undefined && { guidance }),
        };
        // All digits are drawn in one call, which gives way between the layers.
        const drawn = await compute.run(ITEM_TOKENS * digits.length, () => generator.generate(draw), job);
        return { data: drawn.data, dims: drawn.dims, seed: drawn.seed, digits: drawn.digits };
      },
    },
    dispose: () => generator.dispose(),
  };
}
