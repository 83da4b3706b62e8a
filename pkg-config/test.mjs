/**
 * Runs the crate's own tests in WebAssembly: `node pkg-config/test.mjs [--features NAMES]`.
 * It takes the profile, the flags and the feature of the WebGPU core, so that the two share their compiled dependencies.
 */
import { parseArgs } from 'node:util';
import { test } from './build/cargo.mjs';

const { values } = parseArgs({ options: { features: { type: 'string' } } });
await test(['--workspace', '--lib'], {
  features: ['webgpu', ...(values.features?.split(',') ?? [])],
  profile: 'release',
});
