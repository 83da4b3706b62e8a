import { PilotlightError } from '../error.js';

/** WebAssembly modules of one function each, which validate only where the engine knows the instruction. */
// (module (func (result v128) i32.const 0 i8x16.splat i8x16.popcnt))
const SIMD128 = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];
// (module (func (result v128) i32.const 0 i8x16.splat i32.const 0 i8x16.splat i32.const 0 i8x16.splat i32x4.relaxed_dot_i8x16_i7x16_add_s))
const RELAXED_SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65,
  0, 253, 15, 253, 147, 2, 11,
];

export function hasSimd128(): boolean {
  return WebAssembly.validate(new Uint8Array(SIMD128));
}

/** Node 20 has relaxed SIMD behind a flag, and computes it wrongly: never true there. */
export function hasRelaxedSimd(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  const node = Number.parseInt(process?.versions?.node ?? '', 10);
  return !(node < 22) && WebAssembly.validate(new Uint8Array(RELAXED_SIMD));
}

/** Chooses which of the two CPU cores this engine runs. @throws {PilotlightError} `BACKEND_UNAVAILABLE` where it runs none */
export function cpuCore(): 'simd' | 'relaxed' {
  if (hasRelaxedSimd()) return 'relaxed';
  if (hasSimd128()) return 'simd';
  throw new PilotlightError(
    'BACKEND_UNAVAILABLE',
    'this engine has no WebAssembly SIMD (simd128); all browsers since 2023 have it',
  );
}
