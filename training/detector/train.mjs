/**
 * Trains the head of `TextDetector` and writes it with its figures and its card:
 * `node training/detector/train.mjs --data DIR [--dtype q8] [--out weights/detector] [--bars FILE]`.
 * features.mjs has read the texts before. Exit code 1, and nothing written, where a bar falls. `--partial` measures on the texts that were
 * read so far, and writes nothing.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fallen } from './bars.mjs';
import { readCache } from './cache.mjs';
import { card } from './card.mjs';
import { examples as examplesOf } from './examples.mjs';
import { biasFigures, figuresOf, heldOutDomains, heldOutGenerators } from './figures.mjs';
import { fitter } from './fits.mjs';
import { KEPT, parts, ROOT } from './parts.mjs';
import { rows } from './rows.mjs';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    dtype: { type: 'string', default: 'q8' },
    out: { type: 'string', default: path.join(ROOT, 'weights/detector') },
    bars: { type: 'string', default: new URL('./bars.json', import.meta.url).pathname },
    partial: { type: 'boolean', default: false },
  },
});
if (!values.data) throw new Error('--data DIR is needed');

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
const digests = read('./data.json');
const { date, model } = read('./model.json');

const own = await parts();
const core = await own.cpu();
const cache = path.join(KEPT, `likelihoods-${values.dtype}`);
const known = readCache(cache);
const all = await examplesOf(rows(values.data, digests), known, values.partial, own);
const training = all.filter(({ set }) => set === 'aitext');
const bias = all.filter(({ set }) => set === 'bias');
console.log(`${training.length} texts of machine-text sets, ${bias.length} of kinds of writers`);

const fits = fitter(own, core);
const domains = await heldOutDomains(training, fits, own);
const { C, list: penalties } = await fits.choose(training);
const generators = await heldOutGenerators(training, fits, own, C);
const lists = await fits.outOfFold(training, C, { lengths: [Number.POSITIVE_INFINITY, own.MIN_TOKENS] });
const thresholds = fits.thresholdsOf(training, lists);
const inDomain = figuresOf(training, lists[0], thresholds, own.auroc);

const version = `smollm2-${date}`;
const whole = await fits.fit(training, C);
const { a, b } = whole.platt;
// The head's scores are the logarithm of the odds.
const oddsOf = (decision) => -(a * decision + b);
const head = rounded({
  version,
  date,
  model,
  ...own.linearHead(
    { head: whole, thresholds: { machine: oddsOf(thresholds.machine), sign: oddsOf(thresholds.sign) } },
    // Those of both kinds that are long enough to be judged: a gate of human texts alone would keep machine texts out.
    training.filter(({ tokens }) => tokens >= own.MIN_TOKENS).map(({ features }) => features),
  ),
});
head.version = version;
own.checkHead(head);

const figures = {
  version,
  ...JSON.parse(readFileSync(path.join(cache, 'backend.json'), 'utf8')),
  C,
  judgedFrom: own.MIN_TOKENS,
  penalties: penalties.map(({ C: penalty, domains: of }) => ({
    C: penalty,
    domains: of.map((one) => ({ ...one, falseAlarms: shareOf(one.falseAlarms), caught: shareOf(one.caught) })),
  })),
  heldOutDomains: domains,
  heldOutGenerators: generators,
  inDomain,
  bias: biasFigures(bias, head, own),
};
const list = fallen(figures, JSON.parse(readFileSync(values.bars, 'utf8')));
const made = card({ head, figures, digests, counts: { training: training.length, bias: bias.length } });
const report = path.join(KEPT, 'figures.json');
mkdirSync(KEPT, { recursive: true });
writeFileSync(report, `${JSON.stringify(figures, null, 2)}\n`);
console.log(made.split('## Figures')[1].split('## What it cannot know')[0].trim());
for (const sentence of list) console.error(`a bar falls: ${sentence}`);
if (list.length > 0 || values.partial) {
  console.error(`nothing was written; the figures are in ${path.relative('.', report)}`);
  process.exit(1);
}
mkdirSync(values.out, { recursive: true });
const json = JSON.stringify(head);
if (json.length >= 1024) throw new Error(`the head has ${json.length} bytes, expected less than 1024`);
writeFileSync(path.join(values.out, 'head.json'), `${json}\n`);
writeFileSync(path.join(values.out, 'figures.json'), `${JSON.stringify(figures, null, 2)}\n`);
writeFileSync(path.join(values.out, 'README.md'), made);
console.log(`the head (${json.length} bytes), its figures and its card are in ${path.relative('.', values.out)}`);

function shareOf(value) {
  return Number(value.toFixed(4));
}

/** Numbers of four digits: the head is downloaded by every page, and its scores move by less than 0.01. */
function rounded(value) {
  if (typeof value === 'number') return Number(value.toPrecision(4));
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, rounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)]));
}
