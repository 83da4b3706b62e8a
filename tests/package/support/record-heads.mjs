// Writes tests/goldens/heads/bits.json: fitted heads to the bit, which native programs, Node and Chromium all compute.
//
//   node tests/package/support/record-heads.mjs
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { FOLDER, fittedHead, goldens, HEADS } from './heads.mjs';

const record = {};
for (const head of HEADS)
  for (const [i, fit] of goldens('fitted.json').entries()) record[`${head} ${i}`] = await fittedHead(head, fit);
writeFileSync(path.join(FOLDER, 'bits.json'), `${JSON.stringify(record)}\n`);
