// TextClassifier: learning labels from examples, saying what it does not know, and heads from scikit-learn.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PilotlightError, TextClassifier } from 'pilotlight';
import { fake, fittedHead, goldens, HEADS } from './support/heads.mjs';
import { startMiniLM } from './support/minilm.mjs';

const indices = (list) => list.map((_, i) => String(i));

const EXAMPLES = Object.entries({
  'card lost': ['I lost my bank card', 'my card was stolen', 'I cannot find my card anywhere', 'someone took my card'],
  'exchange rate': [
    'what is the rate for euros',
    'how are exchange rates set',
    'is the dollar rate good today',
    'what do I get for pounds',
  ],
  'change pin': [
    'I want a new PIN',
    'how do I change my PIN code',
    'can I pick another pin number',
    'update my pin please',
  ],
}).flatMap(([label, texts]) => texts.map((text) => ({ text, label })));

describe('with MiniLM', () => {
  let embedder;
  let close;
  before(async () => {
    ({ embedder, close } = await startMiniLM());
  });
  after(async () => {
    await close();
  });

  for (const head of HEADS) {
    test(`${head} learns three labels from four texts each`, async () => {
      const events = [];
      const classifier = await TextClassifier.fit(embedder, EXAMPLES, {
        head,
        onProgress: (event) => events.push(event),
      });
      assert.deepEqual(classifier.labels, ['card lost', 'change pin', 'exchange rate']);
      assert.equal(classifier.size, EXAMPLES.length + 3);
      const answers = await classifier.classify([
        'my debit card has gone missing',
        'a different pin',
        'rate of the yen',
      ]);
      assert.deepEqual(
        answers.map(({ label }) => label),
        ['card lost', 'change pin', 'exchange rate'],
      );
      for (const { probability, margin, scores, nearest } of answers) {
        assert.ok(probability > 1 / 3 && probability <= 1);
        assert.ok(Math.abs(scores.reduce((sum, one) => sum + one.probability, 0) - 1) < 1e-6);
        assert.ok(Math.abs(margin - (scores[0].probability - scores[1].probability)) < 1e-12);
        assert.ok(nearest.cosine > 0.3 && nearest.cosine <= 1.000001);
        assert.ok(nearest.text.length > 0);
      }
      assert.equal(answers[0].nearest.label, 'card lost');
      assert.deepEqual(events.at(-1), { status: 'fit', loaded: 100, total: 100 });
      assert.ok(events.some(({ status }) => status === 'embed'));
      classifier.dispose();
      await assert.rejects(classifier.classify('a'), { code: 'DISPOSED' });
    });
  }

  test('answers null for what is not like the examples, at the rate that was asked for', async () => {
    const classifier = await TextClassifier.fit(embedder, EXAMPLES, { unknown: 0.1 });
    const [far, near] = await classifier.classify(['the volcano erupted at dawn', 'I lost my bank card']);
    assert.equal(far.label, null);
    assert.equal(near.label, 'card lost');
    const [always] = await classifier.classify('the volcano erupted at dawn', { unknown: 0 });
    assert.notEqual(always.label, null);
    classifier.dispose();
  });

  test('the JSON gives the same answers, and says what is different', async () => {
    const classifier = await TextClassifier.fit(embedder, EXAMPLES, { unknown: 0.05 });
    const json = JSON.stringify(classifier);
    const again = await TextClassifier.fromJSON(embedder, json);
    const texts = ['where is my card', 'pin'];
    assert.deepEqual(await again.classify(texts), await classifier.classify(texts));
    assert.equal(JSON.stringify(again), json);
    assert.deepEqual(again.notes, []);
    const other = JSON.parse(json);
    other.embedder.dtype = 'f32';
    const noted = await TextClassifier.fromJSON(embedder, other);
    assert.match(noted.notes[0], /dtype 'f32'/);
    other.embedder.model = 'somebody/else';
    await assert.rejects(TextClassifier.fromJSON(embedder, other), {
      code: 'INVALID_INPUT',
      message: /somebody\/else/,
    });
    for (const one of [classifier, again, noted]) one.dispose();
  });

  test('more examples bring a new label, and a failure changes nothing', async () => {
    const classifier = await TextClassifier.fit(embedder, EXAMPLES);
    const before = JSON.stringify(classifier);
    await assert.rejects(classifier.add([{ text: 'a', label: 'b' }], { signal: AbortSignal.abort() }), {
      code: 'ABORTED',
    });
    assert.equal(JSON.stringify(classifier), before);
    await Promise.all([
      classifier.add([{ text: 'close my account', label: 'close account' }]),
      classifier.add([{ text: 'I want to leave the bank', label: 'close account' }]),
    ]);
    assert.equal(classifier.size, EXAMPLES.length + 3 + 2);
    assert.deepEqual(classifier.labels, ['card lost', 'change pin', 'close account', 'exchange rate']);
    const [{ label }] = await classifier.classify('please shut down my account');
    assert.equal(label, 'close account');
    classifier.dispose();
  });

  test('evaluates on other examples, and by five folds', async () => {
    const classifier = await TextClassifier.fit(embedder, EXAMPLES);
    const given = await classifier.evaluate([
      { text: 'card gone', label: 'card lost' },
      { text: 'new pin', label: 'exchange rate' },
    ]);
    assert.deepEqual([given.count, given.accuracy], [2, 0.5]);
    assert.deepEqual(given.confusions, [{ label: 'exchange rate', predicted: 'change pin', texts: ['new pin'] }]);
    assert.equal(given.coverage[0].coverage <= 1, true);
    const folds = await classifier.evaluate({ folds: 5 });
    assert.equal(folds.count, EXAMPLES.length);
    assert.ok(folds.accuracy >= 0.75, `${folds.accuracy}`);
    await assert.rejects(classifier.evaluate([{ text: 'a', label: 'nothing' }]), { message: /no label 'nothing'/ });
    classifier.dispose();
  });

  test('vectors without texts are examples too, also beside names of labels', async () => {
    const { data } = await embedder.embed(EXAMPLES.map(({ text }) => text));
    const labels = EXAMPLES.map(({ label }) => label);
    const classifier = await TextClassifier.fit(embedder, { vectors: data, labels });
    const [near, name] = await classifier.classify(['I lost my bank card', 'exchange rate']);
    assert.deepEqual([near.label, near.nearest.text, near.nearest.label], ['card lost', undefined, 'card lost']);
    assert.deepEqual([name.nearest.text, name.nearest.label], ['exchange rate', 'exchange rate']);
    classifier.dispose();
  });

  test('a fit that is aborted ends within 100 ms', async () => {
    const random = Array.from({ length: 4000 * 384 }, (_, i) => (Math.sin(i * 12.9898) * 43758.5453) % 1);
    const examples = {
      vectors: Float32Array.from(random),
      labels: Array.from({ length: 4000 }, (_, i) => `label ${i % 40}`),
    };
    // The fastest of three: a busy machine holds single ones up.
    const times = [];
    for (let i = 0; i < 3; i += 1) {
      const controller = new AbortController();
      let aborted;
      const onProgress = () => {
        aborted ??= performance.now();
        controller.abort();
      };
      const fit = TextClassifier.fit(embedder, examples, { signal: controller.signal, onProgress, tolerance: 1e-9 });
      await assert.rejects(fit, { code: 'ABORTED' });
      times.push(performance.now() - aborted);
    }
    assert.ok(Math.min(...times) < 100, `${times} ms`);
  });

  test('a long list of texts lets other work in, and is aborted between texts', async () => {
    const vectors = Float32Array.from({ length: 2000 * 384 }, (_, i) => Math.sin(i * i));
    const examples = { vectors, labels: Array.from({ length: 2000 }, (_, i) => String(i % 7)) };
    const ready = { dimensions: 384, embed: async () => ({ data: vectors, dims: [2000, 384] }) };
    const classifier = await TextClassifier.fit(ready, examples, { head: 'knn', labelText: false });
    for (const call of [
      (signal) => classifier.classify(examples.labels, { signal }),
      (signal) => classifier.evaluate(examples, { signal }),
    ]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 1);
      await assert.rejects(call(controller.signal), { code: 'ABORTED' });
    }
    classifier.dispose();
  });

  test('labels may be named like properties that every object has', async () => {
    const names = { 'card lost': '__proto__', 'exchange rate': 'constructor', 'change pin': 'toString' };
    const examples = EXAMPLES.map(({ text, label }) => ({ text, label: names[label] }));
    const thresholds = JSON.parse('{"__proto__":2}');
    const classifier = await TextClassifier.fit(embedder, examples, { unknown: 0.1, thresholds });
    const texts = ['I lost my bank card', 'the volcano erupted at dawn', 'I want a new PIN'];
    const labelsOf = async (one) => (await one.classify(texts)).map(({ label }) => label);
    assert.deepEqual(await labelsOf(classifier), [null, null, 'toString']);
    const again = await TextClassifier.fromJSON(embedder, JSON.stringify(classifier));
    assert.deepEqual(await labelsOf(again), [null, null, 'toString']);
    again.thresholds = {};
    assert.deepEqual(await labelsOf(again), ['__proto__', null, 'toString']);
    for (const one of [classifier, again]) one.dispose();
  });

  test('what is asked or set while examples are added keeps to its labels', async () => {
    // One that is wrong, so that there is a confusion to name.
    const wrong = { text: 'the card that I lost', label: 'exchange rate' };
    const classifier = await TextClassifier.fit(embedder, [...EXAMPLES, wrong]);
    const before = await classifier.evaluate({ folds: 5 });
    assert.ok(before.confusions.some(({ texts }) => texts.includes(wrong.text)));
    const asked = [];
    // The new label comes before the others, so that each gets another number.
    await classifier.add([{ text: 'close my account', label: 'a' }], {
      onProgress({ status }) {
        if (status !== 'fit' || asked.length > 0) return;
        asked.push(classifier.evaluate(EXAMPLES), classifier.evaluate({ folds: 5 }));
        classifier.thresholds = { 'card lost': 2 };
      },
    });
    const [given, folds] = await Promise.all(asked);
    assert.equal(given.accuracy, 1);
    assert.deepEqual(folds, before);
    assert.deepEqual(classifier.thresholds, { 'card lost': 2 });
    classifier.dispose();
  });

  test('too few examples for a refusal are noted until there are enough', async () => {
    const few = EXAMPLES.filter((_, i) => i % 4 < 2);
    const classifier = await TextClassifier.fit(embedder, few, { unknown: 0.1 });
    assert.match(classifier.notes.join(), /too few examples/);
    const again = await TextClassifier.fromJSON(embedder, JSON.stringify(classifier));
    assert.deepEqual(again.notes, classifier.notes);
    await again.add(EXAMPLES.filter((_, i) => i % 4 >= 2));
    assert.deepEqual(again.notes, []);
    for (const one of [classifier, again]) one.dispose();
  });

  test('an embedder that does not give a vector for each text is refused', async () => {
    for (const data of [new Float32Array(5), new Float32Array(0), undefined]) {
      const broken = { dimensions: 4, embed: async () => ({ data, dims: [1, 4] }) };
      await assert.rejects(TextClassifier.fit(broken, EXAMPLES), {
        code: 'INVALID_INPUT',
        message: /^embedder: expected 12 × 4 values/,
      });
    }
  });

  const WRONG = [
    ['no examples', [], /examples: expected one at least/],
    [
      'one label',
      [
        { text: 'a', label: 'b' },
        { text: 'c', label: 'b' },
      ],
      /two at least/,
    ],
    [
      'an empty text',
      [
        { text: ' ', label: 'b' },
        { text: 'c', label: 'd' },
      ],
      /examples\[0\]\.text/,
    ],
    ['no label', [{ text: 'a' }, { text: 'c', label: 'd' }], /examples\[0\]\.label/],
    ['nothing', undefined, /examples: expected/],
    ['another number of texts', { texts: ['a'], labels: ['b', 'c'] }, /examples\.texts/],
    ['vectors of another length', { vectors: new Float32Array(5), labels: ['b', 'c'] }, /examples\.vectors/],
    [
      'a vector of NaN',
      { vectors: new Float32Array(768).fill(NaN), labels: ['b', 'c'] },
      /example 0 has the value NaN/,
    ],
    ['a vector of zeros', { vectors: new Float32Array(768), labels: ['b', 'c'] }, /example 0 is all zeros/],
  ];
  for (const [what, examples, message] of WRONG) {
    test(`${what} is a typed error`, async () => {
      await assert.rejects(TextClassifier.fit(embedder, examples, { labelText: false }), (error) => {
        assert.ok(error instanceof PilotlightError);
        assert.equal(error.code, 'INVALID_INPUT');
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test('a million examples are too many, a label with one is not too few', async () => {
    const many = { texts: [], labels: new Array(1_000_000).fill('a') };
    await assert.rejects(TextClassifier.fit(embedder, many), { code: 'RESOURCE_LIMIT' });
    const classifier = await TextClassifier.fit(embedder, [...EXAMPLES, { text: 'good morning', label: 'greeting' }]);
    assert.equal((await classifier.classify('good morning'))[0].label, 'greeting');
    classifier.dispose();
  });

  test('options that make no sense are typed errors', async () => {
    for (const options of [
      { head: 'forest' },
      { C: 0 },
      { C: Number.NaN },
      { unknown: 1 },
      { unknown: '5%' },
      { k: 1.5 },
      { onProgress: 5 },
      { thresholds: { 'card lost': Number.POSITIVE_INFINITY } },
      { thresholds: { nothing: 0.5 } },
    ])
      await assert.rejects(TextClassifier.fit(embedder, EXAMPLES, options), { code: 'INVALID_INPUT' });
    for (const none of [{}, { embed() {}, dimensions: 0 }])
      await assert.rejects(TextClassifier.fit(none, EXAMPLES), { code: 'INVALID_INPUT', message: /embedder/ });
    const classifier = await TextClassifier.fit(embedder, EXAMPLES);
    await assert.rejects(classifier.classify('a', { topK: 0 }), { code: 'INVALID_INPUT' });
    await assert.rejects(classifier.evaluate(EXAMPLES, null), { code: 'INVALID_INPUT', message: /options/ });
    classifier.dispose();
  });
});

describe('from scikit-learn', () => {
  for (const { name, classifier: json, test: vectors, probabilities, predictions } of goldens('imported.json')) {
    test(`${name}: every probability within 1e-4, from vectors in f32`, async () => {
      const embedder = fake(vectors);
      const classifier = await TextClassifier.fromJSON(embedder, json);
      assert.match(classifier.notes[0], /does not name the model/);
      const answers = await classifier.classify(indices(vectors), { topK: json.labels.length });
      answers.forEach(({ label, scores, nearest }, i) => {
        assert.equal(label, json.labels[predictions[i]]);
        assert.equal(nearest, undefined);
        for (const { label: one, probability } of probabilities ? scores : [])
          assert.ok(Math.abs(probability - probabilities[i][json.labels.indexOf(one)]) < 1e-4, `${i} ${one}`);
      });
      await assert.rejects(classifier.evaluate({ folds: 5 }), { code: 'INVALID_INPUT', message: /without examples/ });
      classifier.dispose();
    });
  }

  const [{ classifier: GOOD, test: VECTORS }] = goldens('imported.json');
  for (const [what, edit] of [
    ['another format', (json) => (json.format = 'onnx')],
    ['another version', (json) => (json.version = 2)],
    ['labels twice', (json) => (json.labels = ['0', '0'])],
    ['one label', (json) => (json.labels = ['0'])],
    ['no head', (json) => delete json.head],
    ['examples that are none', (json) => (json.examples = 5)],
    ['texts that are none', (json) => (json.texts = [5])],
    ['a list of scores of words', (json) => (json.heldOut = ['a'])],
  ]) {
    test(`${what} is refused`, async () => {
      const json = structuredClone(GOOD);
      edit(json);
      await assert.rejects(TextClassifier.fromJSON(fake(VECTORS), json), (error) => {
        assert.ok(error instanceof PilotlightError);
        assert.equal(error.code, 'INVALID_INPUT', error.message);
        return true;
      });
    });
  }

  test('JSON that ends early is refused, at any length', async () => {
    const text = JSON.stringify(GOOD);
    for (let length = 0; length < text.length; length += 97)
      await assert.rejects(TextClassifier.fromJSON(fake(VECTORS), text.slice(0, length)), { code: 'INVALID_INPUT' });
  });

  test('vectors of another length are refused', async () => {
    await assert.rejects(TextClassifier.fromJSON(fake([[1, 2, 3]]), GOOD), { code: 'INVALID_INPUT', message: /12/ });
  });
});

// `node tests/package/support/record-heads.mjs` writes the record anew.
describe('the same examples give the same bits as natively', () => {
  const record = goldens('bits.json');
  for (const head of HEADS) {
    test(head, async () => {
      for (const [i, fit] of goldens('fitted.json').entries())
        assert.deepEqual(await fittedHead(head, fit), record[`${head} ${i}`]);
    });
  }
});
