/**
 * Runs the crate's own tests in WebAssembly: `node pkg-config/test.mjs [--features NAMES]`.
 * With the profile and the flags of the quick build of a core, so that both compile their dependencies once.
 */
import { parseArgs } from 'node:util';
import { test } from './build/cargo.mjs';

const { values } = parseArgs({ options: { features: { type: 'string' } } });
test(['--workspace', '--lib', '--tests'], { features: values.features?.split(',') ?? [], profile: 'quick' });
