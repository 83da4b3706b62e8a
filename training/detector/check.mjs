/** Checks figures against the bars: `node training/detector/check.mjs FIGURES.json [--bars BARS.json]`. Exit code 1 where one falls. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fallen } from './bars.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bars: { type: 'string', default: new URL('./bars.json', import.meta.url).pathname } },
});
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const list = fallen(read(positionals[0]), read(values.bars));
for (const sentence of list) console.error(`a bar falls: ${sentence}`);
if (list.length > 0) process.exit(1);
console.log('all bars are reached');
