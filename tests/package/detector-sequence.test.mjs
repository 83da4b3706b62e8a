// TextDetector on a BERT that classifies whole texts: its label, and that nothing is a machine's before a calibration.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SequenceClassifier, TextDetector } from 'pilotlight';
import { human, internals, machine, textOf } from './support/detector.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';

const MODEL = 'test/bert-tiny-classifier';
const FILES = filesOf(tinyFolder('bert-tiny-classifier'));
const options = (more) => ({ files: FILES, dtype: 'f32', device: 'cpu', ...more });
const relabelled = (labels) => {
  const config = JSON.parse(new TextDecoder().decode(FILES['config.json']));
  return { ...FILES, 'config.json': new TextEncoder().encode(JSON.stringify({ ...config, id2label: { ...labels } })) };
};

test('the score is the log-odds of the label that means a machine, and every verdict is uncertain', async () => {
  const classifier = await SequenceClassifier.load(MODEL, options());
  const plans = [];
  const detector = await TextDetector.load(MODEL, options({ onPlan: (plan) => void plans.push(plan.class) }));
  assert.deepEqual(plans, ['SequenceClassifier']);
  assert.equal(detector.thresholds ?? null, null);
  for (const text of [...human(20), ...machine(20)]) {
    const { verdict, probability, score, tokens, reasons } = await detector.detect(text);
    assert.deepEqual([verdict, probability], ['uncertain', null]);
    assert.ok(reasons.some(({ text }) => /No threshold is known/.test(text)));
    assert.ok(reasons.some(({ text }) => text === 'Only 128 tokens of the text were read.'));
    assert.equal(tokens, 128);
    const [{ scores }] = await classifier.classify(text.replace(/\.$/, ''));
    const [{ probability: real }, { probability: fake }] = scores;
    assert.ok(Math.abs(score - Math.log(fake / real)) < 1e-9);
  }
  classifier.dispose();
  detector.dispose();
  await assert.rejects(detector.detect('a'), { code: 'DISPOSED' });
});

test('a calibration gives it a threshold, which its JSON keeps for the next load', async () => {
  const detector = await TextDetector.load(MODEL, options({ machineLabel: 'Fake' }));
  await assert.rejects(detector.calibrate(human(49)), { code: 'INVALID_INPUT', message: /got 49/ });
  const others = Array.from({ length: 200 }, (_, i) => textOf(`other ${i}`, { machine: (i % 10) / 10 }));
  const scores = (await detector.detect(others)).map(({ score }, i) => [score, others[i]]);
  // The texts that look the least like a machine's, so that some of the others lie above the threshold.
  const low = scores.sort(([a], [b]) => a - b).slice(0, 100);
  const { threshold } = await detector.calibrate(low.map(([, text]) => text));
  assert.equal(threshold, low.at(-1)[0]);
  const found = await detector.detect(others);
  const expected = found.map(({ score }) => score > threshold);
  assert.ok(expected.includes(true) && expected.includes(false));
  assert.deepEqual(
    found.map(({ verdict }) => verdict === 'machine'),
    expected,
  );
  const short = await detector.detect(textOf('short', { words: 20 }));
  assert.equal(short.verdict, 'uncertain');
  const head = JSON.parse(JSON.stringify(detector));
  assert.deepEqual([head.features, head.head, head.model.model], ['classifier', { machineLabel: 1 }, MODEL]);
  detector.dispose();
  const again = await TextDetector.load(MODEL, options({ head }));
  assert.deepEqual(again.calibration, head.calibration);
  assert.deepEqual(await again.detect(others), found);
  again.dispose();
  await assert.rejects(TextDetector.load('test/other', options({ head })), { code: 'INVALID_INPUT', message: /is of/ });
  await assert.rejects(TextDetector.load(MODEL, { files: filesOf(tinyFolder('qwen2-tiny')), head }), {
    code: 'UNSUPPORTED_MODEL',
    message: /expected a classifier, and Decoder loads/,
  });
});

test('the label is found by its name, or asked for', async () => {
  const { machineLabelOf } = await internals('sequence');
  for (const [labels, given, expected] of [
    [['Real', 'Fake'], undefined, 1],
    [['Fake', 'Real'], undefined, 0],
    [['human-written', 'AI'], undefined, 1],
    [['human-generated', 'machine-generated'], undefined, 1],
    [['not AI', 'AI'], undefined, 1],
    [['machine_text', 'person'], undefined, 0],
    [['plain', 'is_ai'], undefined, 1],
    [['a', 'b', 'c'], 'c', 2],
    [['a', 'b', 'c'], 0, 0],
  ])
    assert.equal(machineLabelOf(labels, given), expected, labels.join());
  for (const [labels, given, message] of [
    [['plain', 'fair'], undefined, /machineLabel: say which .*'plain', 'fair'/],
    [['human-generated', 'person'], undefined, /machineLabel: say which/],
    [['non-AI', 'other'], undefined, /machineLabel: say which/],
    [['AI', 'fake'], undefined, /machineLabel: say which/],
    [['LABEL_0', 'LABEL_1'], undefined, /machineLabel: say which/],
    [['a', 'b'], 'c', /machineLabel: expected one of 'a', 'b', got 'c'/],
    [['a', 'b'], 2, /machineLabel: expected one of/],
    [['a', 'b'], -1, /machineLabel: expected one of/],
    [['a', 'b'], 0.5, /machineLabel: expected one of/],
    [['a', 'b'], '__proto__', /machineLabel: expected one of/],
    [['a', 'b'], null, /machineLabel: expected one of/],
  ])
    assert.throws(() => machineLabelOf(labels, given), { code: 'INVALID_INPUT', message }, labels.join());
  const files = relabelled(['plain', 'fair']);
  await assert.rejects(TextDetector.load(MODEL, options({ files })), {
    code: 'INVALID_INPUT',
    message: /machineLabel/,
  });
  const chosen = await TextDetector.load(MODEL, options({ files, machineLabel: 'plain' }));
  assert.deepEqual(chosen.toJSON().head, { machineLabel: 0 });
  chosen.dispose();
});

test('a model that is neither a classifier nor a decoder is refused', async () => {
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  await assert.rejects(TextDetector.load('test/bert-tiny-mean', { files }), {
    code: 'UNSUPPORTED_MODEL',
    message: /expected a decoder or a classifier, and TextEmbedder loads/,
  });
});
