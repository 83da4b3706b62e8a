// Writes tests/bits/record.json anew, by the installed package in Chromium: `node tests/bits/record.mjs`, on x86-64 with FMA3, where V8 can
// be told to do without. tests/bits/cases.mjs says when that is right.
import { writeFileSync } from 'node:fs';
import { names } from './cases.mjs';
import { CHROMIUM, inChromium, RECORD } from './runs.mjs';

const record = {};
for (const [what, how] of Object.entries(CHROMIUM)) {
  const place = await inChromium(how);
  try {
    if (place.part !== how.part) throw new Error(`${what}: expected the arithmetic '${how.part}', got '${place.part}'`);
    record[how.part] = {};
    for (const name of names) record[how.part][name] = await place.digests(name);
  } finally {
    await place.close();
  }
}
writeFileSync(RECORD, `${JSON.stringify(record, null, 2)}\n`);
