// Compares the package's results in Node bit by bit. tests/bits/cases.mjs describes how to record an intended change.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { names } from '../bits/cases.mjs';
import { inNode, record } from '../bits/runs.mjs';

const RECORD = record();

describe('the bits are those of the record', () => {
  let place;
  before(async () => (place = await inNode()));
  after(() => place?.close());

  for (const name of names)
    test(name, async () => {
      const recorded = RECORD[place.part]?.[name];
      assert.ok(recorded, `tests/bits/record.json has no '${name}' under '${place.part}'`);
      assert.deepEqual(await place.digests(name), recorded);
    });
});
