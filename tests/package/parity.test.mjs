// Limits that the package checks before it calls the core, and that the core checks again for Rust programs, are the same.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from './support/models.mjs';

/** The source text of a constant's value. */
function constant(file, name) {
  const source = readFileSync(path.join(ROOT, file), 'utf8');
  const [, value] = new RegExp(`^(?:pub )?const ${name}\\b[^=]*=\\s*([^;]+);`, 'm').exec(source) ?? [];
  assert.ok(value, `${file} has no constant ${name}`);
  return value.trim();
}

/** A number as either language writes it: digits with underscores, a power or a shift of two, seconds. */
function number(text) {
  const [, base, shift] = /^(\d+) << (\d+)$/.exec(text) ?? [];
  if (base) return Number(base) * 2 ** Number(shift);
  const [, power] = /^2 \*\* (\d+)$/.exec(text) ?? [];
  if (power) return 2 ** Number(power);
  const [, seconds] = /^Duration::from_secs\((\d+)\)$/.exec(text) ?? [];
  if (seconds) return Number(seconds) * 1000;
  assert.match(text, /^[\d_]+$/);
  return Number(text.replaceAll('_', ''));
}

for (const [what, rust, typescript] of [
  ['the pixels of an image', ['images/src/decode.rs', 'MAX_PIXELS'], ['inputs/images.ts', 'MAX_PIXELS']],
  ['the bytes of an image', ['src/bindings/image_text_embedder.rs', 'MAX_BYTES'], ['inputs/images.ts', 'MAX_BYTES']],
  ['the stall timeout', ['src/tasks/load/source.rs', 'STALL'], ['inputs/images.ts', 'STALL_TIMEOUT']],
  ['the digits of a call', ['src/tasks/digit_generator.rs', 'MAX_DIGITS'], ['inputs/digit-requests.ts', 'MAX_DIGITS']],
]) {
  test(`${what}: the limit is the same in Rust and in TypeScript`, () => {
    const [file, name] = typescript;
    assert.equal(number(constant(`pkg-config/src/${file}`, name)), number(constant(...rust)));
  });
}

test('the names of software adapters are the same in Rust and in TypeScript', () => {
  const rust = [...constant('src/device/gpu.rs', 'SOFTWARE').matchAll(/"([^"]+)"/g)].map(([, name]) => name);
  const pattern = constant('pkg-config/src/core/adapter.ts', 'SOFTWARE');
  const typescript = pattern.slice(1, pattern.lastIndexOf('/')).replaceAll('\\b', '').split('|');
  assert.deepEqual(typescript.sort(), rust.sort());
});
