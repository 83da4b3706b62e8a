// The bare loop of int8 multiply-adds, which is the upper bound of the speed of the kernels.
import init, { BareLoop } from '/kernels/kernels.js';

const [ROWS, REPEATS] = [255, 8];

export async function load({ k, n }) {
  await init();
  const loop = new BareLoop(ROWS, k, n);
  return {
    /** Gop/s of each way to add; a multiplication and an addition are two. */
    rates: () =>
      ['dot', 'pairs'].map((way) => {
        const start = performance.now();
        loop[way](REPEATS);
        return (REPEATS * 2 * ROWS * k * n) / (performance.now() - start) / 1e6;
      }),
  };
}
