/** A stream of random numbers, which is the same for the same seed. */
export interface Random {
  /** A number from `low` on and below `high`. */
  uniform(low: number, high: number): number;
  /** A whole number from 0 on and below `end`. */
  below(end: number): number;
  /** An element of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
}

/** Makes the stream of a seed. Source: mulberry32, by Tommy Ettinger (public domain). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end: number) => Math.floor(next() * end);
  return {
    uniform: (low, high) => low + (high - low) * next(),
    below,
    pick: (list) => list[below(list.length)] as (typeof list)[number],
  };
}
