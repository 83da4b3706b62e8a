// The training of the detector's head: its data, its bars, and the comparison of two runs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { shortened } from '../../training/detector/examples.mjs';
import {
  chosenOf,
  fitter,
  foldOf,
  groupOf,
  judgedHumans,
  lengthsFor,
  PENALTIES,
} from '../../training/detector/fits.mjs';
import { rows } from '../../training/detector/rows.mjs';
import { judged } from '../../training/detector/tables.mjs';
import { ROOT } from './support/models.mjs';

const TRAINING = path.join(ROOT, 'training/detector');
const WEIGHTS = path.join(ROOT, 'weights/detector');
const DATA = process.env.PILOTLIGHT_DATA ?? path.join(ROOT, '../shared/data');
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const figures = read(path.join(WEIGHTS, 'figures.json'));
const digests = read(path.join(TRAINING, 'data.json'));

const folder = mkdtempSync(path.join(tmpdir(), 'pilotlight-detector-'));
after(() => rmSync(folder, { recursive: true }));

function kept(name, value) {
  const file = path.join(folder, name);
  writeFileSync(file, JSON.stringify(value));
  return file;
}

const node = (script, ...files) =>
  spawnSync(process.execPath, [path.join(TRAINING, script), ...files], { encoding: 'utf8' });

test('the figures of the head reach all bars', () => {
  const { status, stdout, stderr } = node('check.mjs', path.join(WEIGHTS, 'figures.json'));
  assert.equal(status, 0, stderr);
  assert.match(stdout, /all bars are reached/);
});

for (const [bar, change, message] of [
  ['AUROC', (one) => Object.assign(one.heldOutDomains.xsum.auroc, { value: 0.84 }), /AUROC on xsum.*0\.84.*0\.85/],
  ['AUROC that is no number', (one) => Object.assign(one.heldOutDomains.pubmed.auroc, { value: null }), /pubmed/],
  ['false alarms', (one) => Object.assign(one.heldOutDomains.writing.falseAlarms1, { value: 0.06 }), /writing.*0\.06/],
  ['TOEFL', (one) => Object.assign(one.bias.toefl_human, { above1: 5 }), /TOEFL.*5 of 46.*4 at most/],
  ['essays', (one) => Object.assign(one.bias.college_gpt35, { above1: 23 }), /GPT-3\.5 essays.*23 of 31.*24 at least/],
])
  test(`a bar that falls is named, and ends the run: ${bar}`, () => {
    const worse = structuredClone(figures);
    change(worse);
    const { status, stderr, stdout } = node('check.mjs', kept('worse.json', worse));
    assert.equal(status, 1);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1);
    assert.equal(stdout, '');
  });

test('two runs are compared figure by figure', () => {
  const before = { C: 1, heldOutDomains: { xsum: { auroc: { value: 0.8, interval: [0.7, 0.9] } } }, old: 3 };
  const after = {
    C: 1,
    heldOutDomains: { xsum: { auroc: { value: 0.85, interval: [0.8, 0.9] } } },
    bias: { above1: 2 },
  };
  const { status, stdout } = node('compare.mjs', kept('before.json', before), kept('after.json', after));
  assert.equal(status, 0);
  assert.deepEqual(stdout.trim().split('\n'), [
    '| figure | before | after | change |',
    '|---|---|---|---|',
    '| C | 1 | 1 | 0 |',
    '| heldOutDomains · xsum · auroc | 0.8 | 0.85 | +0.05 |',
    '| old | 3 | absent |  |',
    '| bias · above1 | absent | 2 |  |',
  ]);
  assert.equal(node('compare.mjs', path.join(folder, 'before.json')).status, 1);
});

test('the head has less than a kilobyte, and its card says what it is for', () => {
  const text = readFileSync(path.join(WEIGHTS, 'head.json'), 'utf8');
  assert.ok(Buffer.byteLength(text) < 1024, `${Buffer.byteLength(text)} bytes`);
  const head = JSON.parse(text);
  const card = readFileSync(path.join(WEIGHTS, 'README.md'), 'utf8');
  assert.match(
    card,
    /A hint for a person who knows the context, never proof\. Do not use it to grade, punish, hire\s+or accuse\./,
  );
  for (const word of [head.version, head.model.sha256, 'TOEFL', 'GPT-4', 'What it cannot know'])
    assert.ok(card.includes(word), word);
  assert.equal(head.version, figures.version);
  assert.deepEqual(head.model, read(path.join(TRAINING, 'model.json')).model);
});

test('the texts are those of the Python script that took out the leaks', {
  skip: !existsSync(DATA) && `no ${DATA}`,
}, () => {
  const hash = createHash('sha256');
  const list = rows(DATA, digests);
  for (const { set, domain, generator, i, isMachine, words, text, human } of list)
    hash.update(JSON.stringify([set, domain, generator, i, Number(isMachine), words, text, human]));
  assert.equal(list.length, 3765);
  assert.equal(hash.digest('hex'), '5bfe98f204a08ba125e6cf2f27888f6b671227d668bb9651040fb1c7436731a1');
});

test('no fold has a part of an article', { skip: !existsSync(DATA) && `no ${DATA}` }, () => {
  const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
  const list = rows(DATA, digests).filter(({ set }) => set === 'aitext');
  for (const domain of new Set(list.map((one) => one.domain))) {
    const own = list.filter((one) => one.domain === domain);
    const sorted = [...new Map(own.map((one) => [letters(one.human), one]))].sort(([a], [b]) => (a < b ? -1 : 1));
    let alike = 0;
    for (const [i, [text, one]] of sorted.entries()) {
      const next = sorted[i + 1];
      // The same 120 letters, or all of those of the shorter one.
      if (!next?.[0].startsWith(text.slice(0, 120))) continue;
      alike += 1;
      assert.equal(groupOf(next[1]), groupOf(one), text.slice(0, 60));
      assert.equal(foldOf(next[1]), foldOf(one));
    }
    assert.ok(alike > 100, `${domain} has ${alike} articles more than once`);
    assert.deepEqual([...new Set(own.map(foldOf))].sort(), [0, 1, 2, 3, 4]);
  }
});

test('the penalty is that of the fewest false alarms, within noise, and then of the most texts caught', () => {
  const domain = (falseAlarms, caught) => ({ human: 600, falseAlarms, caught });
  const list = [
    { C: 1, domains: [domain(0.02, 0.3), domain(0.01, 0.3)] },
    // Within the error of a share of 0.02 in 600.
    { C: 2, domains: [domain(0.0, 0.2), domain(0.025, 0.5)] },
    { C: 3, domains: [domain(0.03, 0.9), domain(0.0, 0.9)] },
    { C: 4, domains: [domain(0.02, 0.35), domain(0.02, 0.35)] },
  ];
  assert.equal(chosenOf(list), 2);
  assert.equal(chosenOf([list[2], list[0]]), 1);
  assert.equal(chosenOf([{ ...list[0], C: 9 }, list[0]]), 9);
  assert.deepEqual(PENALTIES, [0.0001, 0.001, 0.01, 0.1, 1]);
});

test('thresholds come from human texts that are long enough, where these are enough for 1 %', () => {
  const texts = (count, tokens, isMachine) => Array.from({ length: count }, () => ({ tokens, isMachine }));
  const few = [...texts(98, 100, false), ...texts(50, 99, false), ...texts(99, 200, true)];
  assert.equal(judgedHumans(few, 100).length, 148);
  const enough = [...few, ...texts(1, 100, false)];
  assert.equal(judgedHumans(enough, 100).length, 99);
  assert.ok(judgedHumans(enough, 100).every(({ tokens, isMachine }) => tokens >= 100 && !isMachine));
});

test('thresholds are those of the domain and the length where human texts score highest', () => {
  const upperThreshold = (scores, rate) => ({
    threshold: scores.toSorted((a, b) => b - a)[Math.floor(rate * scores.length)],
  });
  const { thresholdsOf } = fitter({ upperThreshold, MIN_TOKENS: 100 }, undefined);
  const texts = (domain, tokens, isMachine) => Array.from({ length: 100 }, () => ({ domain, tokens, isMachine }));
  const kinds = [
    texts('news', 200, false),
    texts('story', 150, false),
    texts('answer', 40, false),
    texts('news', 200, true),
  ];
  const scores = (...starts) => starts.flatMap((start) => Array.from({ length: 100 }, (_, i) => start + i / 100));
  // The short answers and the machine texts score highest, and set no threshold.
  const whole = scores(1, 2, 30, 40);
  const short = scores(3, 1, 50, 60);
  assert.deepEqual(thresholdsOf(kinds.flat(), [whole]), { machine: 2.98, sign: 2.94 });
  assert.deepEqual(thresholdsOf(kinds.flat(), [whole, short]), { machine: 3.98, sign: 3.94 });
});

test('human texts are cut to the length at which a domain is judged', () => {
  const texts = (...tokens) => tokens.map((count) => ({ tokens: count }));
  assert.deepEqual(lengthsFor(texts(90, 200, 150), 100), [Number.POSITIVE_INFINITY, 100]);
  assert.deepEqual(lengthsFor(texts(40, 200, 30), 100), [40]);
  const likelihoods = {
    logProbabilities: Float32Array.of(-1, -2, -3),
    entropies: Float32Array.of(1, 2, 3),
    variances: Float32Array.of(4, 5, 6),
    ranks: Uint32Array.of(1, 2, 3),
  };
  const sum = ({ ranks, entropies }) => [...ranks, ...entropies];
  assert.deepEqual(shortened({ tokens: 3, features: [7], likelihoods }, 2, sum).features, [1, 2, 1, 2]);
  assert.equal(shortened({ tokens: 3, features: [7], likelihoods }, 2, sum).tokens, 2);
  const long = { tokens: 3, features: [7], likelihoods };
  assert.equal(shortened(long, 3, sum), long);
});

test('false alarms among the texts that are judged are counted beside those of all', () => {
  const own = (human, above1, interval1) => ({ judged: { human, above1, interval1, machine: 4, caught1: 2 } });
  assert.deepEqual(
    judged({ xsum: own(600, 18, [0.01, 0.05]), pubmed: own(0, 0, null) })
      .split('\n')
      .slice(2),
    ['| xsum | 18 of 600 | 1.0 % to 5.0 % | 2 of 4 |', '| pubmed | none |  | 2 of 4 |'],
  );
});

for (const name of ['retrain', 'publish'])
  test(`what ${name}.yml builds with has no right to write`, () => {
    const workflow = readFileSync(path.join(ROOT, `.github/workflows/${name}.yml`), 'utf8');
    const [top, jobs] = workflow.split(/^jobs:$/m);
    assert.match(top, /^permissions: \{\}$/m);
    const list = jobs.split(/^ {2}(?=[a-z]+:$)/m).slice(1);
    assert.equal(list.length, 2);
    const [builds, writes] = list;
    assert.match(builds, /permissions:\n {6}contents: read\n {4}steps/);
    assert.doesNotMatch(builds, /secrets\.|github\.token/);
    assert.match(writes, /: write/);
    assert.doesNotMatch(writes, /\b(make|node|npm (ci|install|run)) /);
    for (const [, settings] of jobs.matchAll(/actions\/checkout@v4\n((?: {8,}.*\n)*)/g))
      assert.match(settings, /persist-credentials: false/);
  });

test('a file of other bytes is refused by its name', { skip: !existsSync(DATA) && `no ${DATA}` }, () => {
  for (const part of ['aitext', 'bias']) cpSync(path.join(DATA, part), path.join(folder, part), { recursive: true });
  const name = 'aitext/writing_gpt-4.raw_data.json';
  rmSync(path.join(folder, name));
  writeFileSync(path.join(folder, name), '{"original":[],"sampled":[]}');
  assert.throws(() => rows(folder, digests), /writing_gpt-4\.raw_data\.json: sha256 is/);
});
