// TextDetector on a decoder whose likelihoods follow from the words: fits, verdicts, calibration, JSON, saving, errors.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { PilotlightError, TextDetector } from 'pilotlight';
import { human, machine, textOf, wordDecoder } from './support/detector.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';

/** The number of texts of a kind: enough for a threshold of 1 %. */
const COUNT = 100;
/** Texts unlike any text of the fits. */
const fresh = (kind, count) => kind(count, { words: 130 });

let detector;
before(async () => {
  detector = await TextDetector.fit(human(COUNT), machine(COUNT), { decoder: wordDecoder() });
});

test('tells the texts of a fit apart, and never says human', async () => {
  assert.ok(detector.evaluation.auroc > 0.9, `AUROC ${detector.evaluation.auroc}`);
  const { human: people, machine: machines, texts, falseAlarms, interval } = detector.evaluation;
  assert.deepEqual([people, machines, texts], [COUNT, COUNT, COUNT]);
  assert.equal(falseAlarms, 1 / (COUNT + 1));
  assert.ok(interval[0] < falseAlarms && interval[1] > falseAlarms);
  const strong = await detector.detect(textOf('new machine', { machine: 0.75 }));
  assert.equal(strong.verdict, 'machine');
  assert.ok(strong.score > strong.threshold && strong.probability > 0.5 && strong.probability < 1);
  assert.equal(strong.tokens, 120);
  assert.equal(strong.head, detector.version);
  assert.deepEqual(Object.keys(strong.features).length, 13);
  const [weak, again] = await detector.detect([
    textOf('new human', { machine: 0.1 }),
    textOf('new machine', { machine: 0.75 }),
  ]);
  assert.equal(weak.verdict, 'no sign');
  assert.equal(weak.probability, null);
  assert.deepEqual(again, strong);
  const verdicts = new Set(
    (await detector.detect([...fresh(human, 60), ...fresh(machine, 60)])).map((one) => one.verdict),
  );
  for (const verdict of verdicts) assert.ok(['machine', 'no sign', 'uncertain'].includes(verdict), verdict);
});

test('a score does not change with newlines, spaces, quotes and a clean ending', async () => {
  const text = textOf('plain', { machine: 0.3 }).replace(/ the /g, ' "the" ');
  const bare = text.slice(0, -1);
  const { score } = await detector.detect(text);
  for (const other of [
    bare,
    `${bare}!”`,
    bare.replaceAll(' ', '\n'),
    bare.replaceAll(' ', '  '),
    bare.replaceAll('"', '”'),
    bare.replace('e', 'e\u200b'),
  ])
    assert.equal((await detector.detect(other)).score, score);
});

test('sentences point into the text as it was given, and their marks follow the words', async () => {
  const easy = 'Of the many mmm mmb that made the man mad, more must mend the main map of the moon.';
  const text = `${textOf('first', { machine: 0.2 })}\n\n  ${easy}  “It bent the big bow,” they bet. ${textOf('last', { machine: 0.2 })}\n`;
  const { sentences, score } = await detector.detect(text);
  const cut = sentences.map(({ start, end }) => text.slice(start, end));
  assert.ok(cut.includes(easy), cut.join('|'));
  assert.ok(cut.at(-1).endsWith('.'));
  for (const [i, { start, end }] of sentences.entries()) {
    assert.ok(start < end && start >= (sentences[i - 1]?.end ?? 0));
    assert.doesNotMatch(text.slice(start, end), /^\s|\s$/);
  }
  const mark = sentences[cut.indexOf(easy)].contribution;
  assert.ok(mark > 0, `the sentence of easy words adds ${mark} to ${score}`);
  const { score: without } = await detector.detect(text.replace(easy, ''));
  assert.ok(Math.abs(score - without - mark) < 0.5, `${score} - ${without} is not near ${mark}`);
  const [only] = (await detector.detect(textOf('one', { words: 110 }).replaceAll('.', ''))).sentences;
  assert.equal(only.contribution, 0);
});

test('what cannot be judged is uncertain, and the model is not asked where it could not help', async () => {
  const decoder = wordDecoder();
  const own = await TextDetector.fromJSON(JSON.stringify(detector), { decoder });
  const german = 'Der Wind kam am Abend vom Meer und legte sich in der Nacht. Am Morgen war das Wasser glatt. '.repeat(
    12,
  );
  const [empty, other, short, long] = await own.detect([
    ' \n',
    german,
    textOf('short', { words: 99 }),
    textOf('long', { words: 170000 }),
  ]);
  for (const one of [empty, other]) {
    assert.deepEqual([one.verdict, one.score, one.probability, one.tokens], ['uncertain', undefined, null, 0]);
    assert.deepEqual(one.sentences, []);
  }
  assert.match(empty.reasons[0].text, /empty/);
  assert.match(other.reasons[0].text, /English/);
  assert.equal(short.verdict, 'uncertain');
  assert.equal(short.probability, null);
  assert.ok(Number.isFinite(short.score));
  assert.match(short.reasons[0].text, /99 tokens/);
  assert.equal(long.tokens, 2560);
  assert.ok(long.reasons.some(({ text }) => /2560 words at most/.test(text)));
  assert.equal(decoder.asked.length, 1 + 16);
});

test('a text of other numbers than those of the fit is uncertain', async () => {
  const odd = await detector.detect('the mad '.repeat(100));
  assert.equal(odd.verdict, 'uncertain');
  assert.ok(odd.reasons.some(({ text }) => /unlike/.test(text)));
});

test('a calibration sets the thresholds, opens the gate and is kept in the JSON', async () => {
  const decoder = wordDecoder();
  const own = await TextDetector.fromJSON(detector.toJSON(), { decoder });
  const before = own.thresholds.machine;
  // Another kind of text, in which people use easier words.
  const easier = Array.from({ length: 120 }, (_, i) => textOf(`own ${i}`, { machine: 0.55 }));
  const copies = [easier[0], `${easier[1].replaceAll(' ', '\n')}\n`];
  const report = await own.calibrate([...easier, ...copies, 'too short', textOf('short', { words: 60 })]);
  assert.equal(report.texts, 120);
  assert.equal(report.falseAlarms, 1 / 121);
  assert.ok(report.interval[0] < 1 / 121 && report.interval[1] > 1 / 121);
  assert.ok(own.thresholds.machine > before);
  assert.equal(own.thresholds.machine, report.threshold);
  const verdicts = (await own.detect(easier)).map(({ verdict }) => verdict);
  assert.ok(!verdicts.includes('machine'));
  const again = await TextDetector.fromJSON(JSON.stringify(own), { decoder });
  assert.deepEqual(again.calibration, report);
  assert.deepEqual(await again.detect(easier[0]), await own.detect(easier[0]));
  // People who use harder words than those of the fit set no lower threshold than the fit.
  const wide = await own.calibrate(Array.from({ length: 120 }, (_, i) => textOf(`harder ${i}`)));
  assert.equal(wide.threshold, before);
  assert.match(wide.sentence, /stays that of the detector/);
  await assert.rejects(own.calibrate(easier.slice(0, 49)), { code: 'INVALID_INPUT', message: /50 .*got 49/ });
  assert.equal(own.calibration, wide);
  const alike = Array.from({ length: 60 }, (_, i) => easier[i % 49]);
  await assert.rejects(own.calibrate(alike), { code: 'INVALID_INPUT', message: /50 different .*got 49 of 60/ });
  for (const rate of [0, 0.011])
    await assert.rejects(own.calibrate(easier, { rate }), { code: 'INVALID_INPUT', message: /rate: .*up to 0\.01/ });
});

test('with fewer than 99 human texts no text is called a machine’s', async () => {
  const decoder = wordDecoder();
  const text = textOf('new machine', { machine: 0.75 });
  const few = await TextDetector.fit(human(60), machine(60), { decoder });
  const calibrated = await TextDetector.fromJSON(detector.toJSON(), { decoder });
  await calibrated.calibrate(human(60, { words: 130 }));
  for (const own of [few, calibrated, await TextDetector.fromJSON(JSON.stringify(few), { decoder })]) {
    const { verdict, score, threshold, probability, reasons } = await own.detect(text);
    assert.ok(score > threshold);
    assert.deepEqual([verdict, probability], ['uncertain', null]);
    assert.match(reasons[0].text, /one in 61 may score as high; 99 texts are needed/);
  }
});

test('what a detector was made from, or gives as JSON, can be changed without changing it', async () => {
  const decoder = wordDecoder();
  const json = detector.toJSON();
  const own = await TextDetector.fromJSON(json, { decoder });
  const text = textOf('kept', { machine: 0.5 });
  const expected = await own.detect(text);
  for (const given of [json, own.toJSON(), detector.toJSON()]) {
    given.head.weights.fill(0);
    given.evaluation.falseAlarms = 1;
    given.evaluation.interval.fill(1);
    given.thresholds.machine = 99;
  }
  assert.deepEqual(await own.detect(text), expected);
  assert.deepEqual(await detector.detect(text), expected);
});

test('a call in flight ends before a disposed detector is freed', async () => {
  const decoder = wordDecoder();
  const options = { decoder, features: 'hidden', head: 'logistic' };
  const own = await TextDetector.fit(human(COUNT), machine(COUNT), options);
  const text = textOf('kept', { machine: 0.5 });
  const expected = await own.detect(text);
  const call = own.detect(text);
  own.dispose();
  await assert.rejects(own.detect(text), { code: 'DISPOSED' });
  assert.deepEqual(await call, expected);
});

test('the layer of hidden states is always written, and needed to read them', async () => {
  const { layers, ...decoder } = wordDecoder();
  const options = { decoder, features: 'hidden', head: 'logistic' };
  await assert.rejects(TextDetector.fit(human(COUNT), machine(COUNT), options), {
    code: 'INVALID_INPUT',
    message: /layer: expected a number/,
  });
  const own = await TextDetector.fit(human(COUNT), machine(COUNT), { ...options, decoder: { ...decoder, layers: 7 } });
  const json = own.toJSON();
  assert.equal(json.layer, 7);
  own.dispose();
  await assert.rejects(TextDetector.fromJSON({ ...json, layer: undefined }, { decoder }), {
    code: 'INVALID_INPUT',
    message: /json: layer is undefined/,
  });
});

test('hidden states take any head, and their JSON gives the same answers', async () => {
  for (const head of ['rbf-svm', 'logistic', 'knn']) {
    const decoder = wordDecoder();
    const own = await TextDetector.fit(human(COUNT), machine(COUNT), { decoder, features: 'hidden', layer: 2, head });
    assert.ok(own.evaluation.auroc > 0.85, `${head}: ${own.evaluation.auroc}`);
    const texts = [textOf('new machine', { machine: 0.6 }), textOf('new human', { machine: 0.2 })];
    const [strong, weak] = await own.detect(texts);
    assert.ok(strong.score > weak.score);
    assert.deepEqual([strong.features, strong.sentences], [undefined, []]);
    const json = JSON.parse(JSON.stringify(own));
    assert.deepEqual([json.layer, json.pool], [2, 'mean']);
    const again = await TextDetector.fromJSON(json, { decoder });
    assert.deepEqual(await again.detect(texts), [strong, weak]);
    const far = await TextDetector.fromJSON(json, {
      decoder: {
        ...decoder,
        hiddenStates: async (list) => ({
          data: Float32Array.from({ length: 4 * list.length }, (_, i) => (i % 4 === 3 ? 900 : 0.5)),
          dims: [list.length, 4],
          tokens: list.map(() => 120),
        }),
      },
    });
    assert.equal((await far.detect(texts[0])).verdict, 'uncertain', head);
    for (const one of [own, again, far]) one.dispose();
  }
});

test('a classifier of whole texts has no threshold before it is calibrated', async () => {
  const share = (text) => text.split(' ').filter((word) => word.startsWith('m')).length / text.split(' ').length;
  const classifier = { classify: async (texts) => texts.map((text) => [1 - share(text), share(text)]) };
  const own = TextDetector.fromClassifier(classifier);
  const text = textOf('machine', { words: 200, machine: 0.9 });
  const [before] = await own.detect([text]);
  assert.deepEqual([before.verdict, before.threshold], ['uncertain', undefined]);
  assert.match(before.reasons[0].text, /calibrate/);
  await own.calibrate(human(COUNT));
  assert.equal((await own.detect(text)).verdict, 'machine');
  const again = await TextDetector.fromJSON(JSON.stringify(own), { classifier });
  assert.equal((await again.detect(text)).verdict, 'machine');
  const other = TextDetector.fromClassifier(classifier, { machineLabel: 5 });
  await assert.rejects(other.detect(text), { code: 'INVALID_INPUT', message: /label 5/ });
});

test('a saved detector comes back, until it is deleted', async () => {
  const store = mapStore();
  const decoder = wordDecoder();
  assert.equal(await TextDetector.open('mine', { decoder, store }), undefined);
  await detector.save('mine', { store });
  const again = await TextDetector.open('mine', { decoder, store });
  const text = textOf('kept', { machine: 0.5 });
  assert.deepEqual(await again.detect(text), await detector.detect(text));
  assert.equal(await TextDetector.delete('mine', { store }), true);
  assert.equal(await TextDetector.delete('mine', { store }), false);
  assert.equal(store.rows.size, 0);
  await assert.rejects(detector.save('', { store }), { code: 'INVALID_INPUT', message: /name/ });
});

test('progress is reported, and a signal ends a call', async () => {
  const events = [];
  const decoder = wordDecoder();
  const onProgress = (event) => events.push(event);
  const own = await TextDetector.fit(human(COUNT), machine(COUNT), { decoder, onProgress });
  assert.deepEqual([...new Set(events.map(({ status }) => status))], ['read', 'fit']);
  assert.deepEqual(events.at(-1), { status: 'fit', loaded: 100, total: 100 });
  const signal = AbortSignal.abort();
  for (const call of [
    () => own.detect('text', { signal }),
    () => own.calibrate(human(COUNT), { signal }),
    () => TextDetector.fit(human(COUNT), machine(COUNT), { decoder, signal }),
  ])
    await assert.rejects(call(), { code: 'ABORTED' });
  own.dispose();
  own.dispose();
  await assert.rejects(own.detect('text'), { code: 'DISPOSED' });
  assert.throws(() => own.toJSON(), { code: 'DISPOSED' });
});

test('a decoder is loaded as for the figures of the head, unless other things are asked for', async () => {
  const model = 'test/qwen2-tiny';
  const head = { ...detector.toJSON(), model: { model, dtype: 'q8' } };
  const options = { head, files: filesOf(tinyFolder('qwen2-tiny')), store: false };
  const plans = [];
  const own = await TextDetector.load(model, { ...options, onPlan: (plan) => void plans.push(plan) });
  assert.deepEqual([plans[0].dtype, plans[0].device, own.notes], ['q8', 'cpu', []]);
  const other = await TextDetector.load(model, { ...options, dtype: 'f32' });
  assert.match(other.notes.join(), /fitted with dtype 'q8', and the decoder has 'f32'/);
  for (const one of [own, other]) one.dispose();
  const aborter = new AbortController();
  const asked = new Promise((resolve) => {
    const onPlan = () => {
      resolve();
      return new Promise(() => {});
    };
    const { signal } = aborter;
    const load = TextDetector.load(model, { ...options, signal, onPlan });
    void assert.rejects(load, { code: 'ABORTED' }).then(() => plans.push('aborted'));
  });
  await asked;
  aborter.abort();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(plans.at(-1), 'aborted');
});

describe('wrong input', () => {
  const DECODER = filesOf(tinyFolder('qwen2-tiny'));
  const decoder = wordDecoder();
  const fit = (change) => TextDetector.fit(human(COUNT), machine(COUNT), { decoder, ...change });
  const json = () => JSON.parse(JSON.stringify(detector));
  const changed = (change) => () => {
    const saved = json();
    change(saved);
    return TextDetector.fromJSON(saved, { decoder });
  };
  for (const [name, call, message] of [
    ['a number for a text', () => detector.detect(5), /texts: expected a text/],
    ['a list with a number', () => detector.detect(['a', 5]), /texts\[1\]/],
    ['no texts', () => TextDetector.fit([], [], { decoder }), /human: expected 50 texts at least, got 0/],
    [
      'copies',
      () =>
        TextDetector.fit(
          Array.from({ length: 60 }, (_, i) => human(49)[i % 49]),
          machine(50),
          { decoder },
        ),
      /human: expected 50 different texts at least, got 49/,
    ],
    [
      'short human texts',
      () => TextDetector.fit(human(60, { words: 90 }), machine(60), { decoder }),
      /human: expected 50 different English texts of 100 tokens at least, got 0/,
    ],
    ['few texts', () => TextDetector.fit(human(50), machine(49), { decoder }), /machine: .*got 49/],
    ['an empty text', () => TextDetector.fit([...human(50), '...'], machine(50), { decoder }), /human\[50\]/],
    ['other features', () => fit({ features: 'style' }), /features: .*'style'/],
    ['another head for likelihoods', () => fit({ head: 'rbf-svm' }), /head: .*'rbf-svm'/],
    ['another pooling', () => fit({ features: 'hidden', pool: 'cls' }), /pool: .*'cls'/],
    ['a penalty of 0', () => fit({ C: 0 }), /C is 0/],
    ['no decoder', () => TextDetector.fit(human(50), machine(50), {}), /decoder: expected a Decoder/],
    ['no classifier', async () => TextDetector.fromClassifier({}), /classifier: /],
    ['JSON that is none', () => TextDetector.fromJSON('{', { decoder }), /json: is not valid/],
    ['the JSON of a classifier', changed((one) => Object.assign(one, { format: 'pilotlight-classifier' })), /format/],
    ['a later version', changed((one) => Object.assign(one, { version: 2 })), /version is 2/],
    ['weights that lack one', changed((one) => one.head.weights.pop()), /weights: expected 13 numbers/],
    ['a scale of 0', changed((one) => one.head.scale.fill(0, 3, 4)), /scale\[3\]/],
    ['thresholds in the wrong order', changed((one) => Object.assign(one.thresholds, { sign: 99 })), /thresholds.sign/],
    ['a gate of 0', changed((one) => Object.assign(one, { gate: 0 })), /gate is 0/],
    ['a model that is another', changed((one) => Object.assign(one, { model: { model: 'a/b' } })), undefined],
    [
      'a decoder without its head',
      () => TextDetector.load('a/b', { files: DECODER }),
      /is of a\/b, expected QuantFactory/,
    ],
    [
      'a label of a decoder',
      () => TextDetector.load('a/b', { files: DECODER, machineLabel: 1 }),
      /machineLabel: a decoder has no labels/,
    ],
    ['a model with dots', () => TextDetector.load('../x'), /model/],
    ['an onPlan that is no function', () => TextDetector.load(undefined, { onPlan: 5 }), /onPlan/],
  ])
    test(name, async () => {
      if (message === undefined) {
        const noted = await call();
        assert.match(noted.notes[0], /fitted with a\/b/);
        return;
      }
      await assert.rejects(call(), (error) => {
        assert.ok(error instanceof PilotlightError, String(error));
        assert.equal(error.code, 'INVALID_INPUT', error.message);
        assert.match(error.message, message);
        return true;
      });
    });

  test('a decoder that answers for other texts', async () => {
    const own = await TextDetector.fromJSON(json(), { decoder: { likelihoods: async () => [] } });
    await assert.rejects(own.detect(textOf('a')), { code: 'INVALID_INPUT', message: /decoder.likelihoods/ });
  });
});
