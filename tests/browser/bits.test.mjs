// Compares the package's results in Chromium bit by bit, on both CPU builds and in every arithmetic that this processor has.
// tests/bits/cases.mjs describes how to record an intended change.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { names } from '../bits/cases.mjs';
import { CHROMIUM, inChromium, record } from '../bits/runs.mjs';

const RECORD = record();
const PLACES = {
  ...CHROMIUM,
  // The int8 kernel adds up in another way there, and has the same bits.
  'relaxed without AVX-VNNI': { build: 'relaxed', flags: ['--no-enable-avx-vnni', '--no-enable-avx-vnni-int8'] },
};

for (const [what, how] of Object.entries(PLACES))
  describe(`${what}: the bits are those of the record`, () => {
    let place;
    before(async () => (place = await inChromium(how)));
    after(() => place?.close());

    for (const name of names)
      test(name, async () => {
        const recorded = RECORD[place.part]?.[name];
        assert.ok(recorded, `tests/bits/record.json has no '${name}' under '${place.part}'`);
        assert.deepEqual(await place.digests(name), recorded);
      });
  });

test('the record has every case in every arithmetic, and tells them apart', () => {
  assert.deepEqual(
    Object.keys(RECORD),
    Object.values(CHROMIUM).map(({ part }) => part),
  );
  for (const part of Object.values(RECORD)) assert.deepEqual(Object.keys(part), names);
  const [simd, fused, unfused] = Object.values(RECORD);
  // In f32 the builds differ by the rounding of the multiply-add alone, in q8 by the bits of activations too.
  assert.equal(simd['MiniLM in f32'].float32, unfused['MiniLM in f32'].float32);
  assert.notEqual(simd['MiniLM in f32'].float32, fused['MiniLM in f32'].float32);
  assert.notEqual(simd['MiniLM in q8'].float32, unfused['MiniLM in q8'].float32);
});
