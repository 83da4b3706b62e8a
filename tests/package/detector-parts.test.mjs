// Parts of the detector that need no model: statistics, normalization, language, windows, sentences, order statistics, verdicts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { internals } from './support/detector.mjs';
import { ROOT } from './support/models.mjs';

let parts;
before(async () => {
  parts = await internals(
    'features',
    'normalize',
    'language',
    'windows',
    'sentences',
    'statistics',
    'verdict',
    'calibration',
    'head',
    'look-alikes',
    'readers',
  );
});

test('what a score explains makes a text no stranger, up to the scores of the fit', () => {
  const { FEATURES, distanceOf, surroundingsOf } = parts;
  const width = FEATURES.length;
  const row = (first, second) => Float64Array.from({ length: width }, (_, i) => [first, second][i] ?? 0);
  const columns = { mean: Array(width).fill(0), scale: Array(width).fill(1) };
  const weights = Array.from({ length: width }, (_, i) => Number(i === 0));
  // The second statistic is half of the first, which is the score.
  const around = surroundingsOf({ ...columns, weights }, [row(-2, -1), row(1, 0.5), row(4, 2)]);
  assert.deepEqual(around.slopes.slice(0, 3), [1, 0.5, 0]);
  assert.deepEqual(around.span, [-2, 4]);
  assert.equal(distanceOf(around, row(3, 1.5)), 0);
  const near = (got, expected) => assert.ok(Math.abs(got - expected) < 1e-12, `${got}, expected ${expected}`);
  near(distanceOf(around, row(3, 2.5)), 1 / Math.sqrt(width));
  near(distanceOf(around, row(0, 1)), 1 / Math.sqrt(width));
  // Above the highest score of the fit both statistics are strange.
  near(distanceOf(around, row(7, 3.5)), Math.hypot(3, 1.5) / Math.sqrt(width));
  near(distanceOf(around, row(-3, -1.5)), Math.hypot(1, 0.5) / Math.sqrt(width));
});

test('a head is checked, and what is wrong is named', () => {
  const { checkHead } = parts;
  const head = JSON.parse(readFileSync(path.join(ROOT, 'weights/detector/head.json'), 'utf8'));
  assert.equal(checkHead(head), head);
  for (const [change, message] of [
    [{ slopes: head.slopes.slice(1) }, /head: slopes: expected 13 numbers/],
    [{ span: [1] }, /head: span: expected two ascending numbers/],
    [{ span: [2, 1] }, /head: span/],
    [{ span: undefined }, /head: span/],
    [{ gate: 0 }, /head: gate: expected a number above 0, got 0/],
    [{ scale: head.scale.with(3, 0) }, /head: scale\[3\]/],
  ])
    assert.throws(() => checkHead({ ...head, ...change }), message);
});

test('the statistics are those of NumPy', () => {
  const { names, cases } = JSON.parse(readFileSync(path.join(ROOT, 'tests/goldens/detector/features.json'), 'utf8'));
  assert.deepEqual([...parts.FEATURES], names);
  for (const { features: expected, ...lists } of cases) {
    const got = parts.featuresOf({
      logProbabilities: Float32Array.from(lists.logProbabilities),
      entropies: Float32Array.from(lists.entropies),
      variances: Float32Array.from(lists.variances),
      ranks: Uint32Array.from(lists.ranks),
    });
    for (const [i, value] of expected.entries()) {
      const error = Math.abs(got[i] - value) / Math.max(1, Math.abs(value));
      assert.ok(error < 1e-10, `${names[i]} of ${lists.ranks.length} tokens: ${got[i]}, expected ${value}`);
    }
  }
});

test('what a keyboard, an editor or a copy changes makes no difference', () => {
  const { normalize } = parts;
  const same = [
    'He said "well... it\'s a co-op - so what?" and left, finally',
    'He said "well... it\'s a co-op - so what?" and left, finally.',
    '  He said “well… it’s a co-op – so what?” and left, finally!”\n',
    "He\u00a0said\r\n``well... it's a  co-op — so what?''\t and left, finally …",
    'He sa\u200bid "well... it\u0092s a co\u00ad-op - so what?"\u202e and left, finally\ufeff',
    'Не ѕаіd "wеll... іt\'s а со-ор - ѕо whаt?" аnd lеft, fіnаllу',
    'Ｈｅ said "well... it\'s a co-op - so what?" and left, ﬁnally',
    '𝐇𝐞 said "well... it\'s a co-op - so what?" and left, finally',
    'He said «well... it′s a co‐op ― so what?‟ and left, finally',
    'He said „well... it´s a co‑op − so what?» and left, finally',
    'He said "well... it\'s a co-op -- so what?" and left, finally ✓ ©',
  ];
  for (const text of same) assert.equal(normalize(text).text, normalize(same[0]).text, text);
  assert.equal(normalize('cafe\u0301 au lait').text, 'caf\u00e9 au lait');
  // A Greek letter alone is a symbol, and one in a Latin word is not.
  assert.equal(normalize('with α = 0.05 and ο in a wοrd').text, 'with α = 0.05 and ο in a word');
  // Words of other languages are not changed.
  assert.equal(normalize('Слово "сор" и слово').text, 'Слово "сор" и слово');
  assert.equal(normalize('Яndex').text, 'Яndex');
  for (const empty of ['', ' \n\t', '...', '\u200b']) assert.equal(normalize(empty).text, '');
});

test('each character of a normalized text knows where it comes from', () => {
  const { normalize, LOOK_ALIKES } = parts;
  const alphabet = [...'abc xyz  .,\'"`\n\u00a0\u200b“”’…—–éﬁо\u0301𝐇🙂', ' ', ' ', 'word', "''"];
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
  for (let round = 0; round < 500; round += 1) {
    const original = Array.from({ length: 40 }, () => alphabet[Math.floor(next() * alphabet.length)]).join('');
    const { text, origins } = normalize(original);
    assert.equal(origins.length, text.length + 1);
    for (let i = 0; i < text.length; i += 1) {
      const from = origins[i];
      assert.ok(from < original.length && (i === 0 || from >= origins[i - 1]), JSON.stringify(original));
      const source = String.fromCodePoint(original.codePointAt(from));
      if (/[a-z]/.test(text[i]) && source !== 'ﬁ')
        assert.equal(LOOK_ALIKES.get(source) ?? source, text[i], JSON.stringify(original));
      if (text[i] === ' ') assert.match(source, /\s/);
    }
    assert.equal(normalize(text).text, text, JSON.stringify(original));
  }
});

test('English passes, and eight other languages do not', () => {
  const { isEnglish } = parts;
  const english =
    'The wind came from the sea in the evening and only died down at night. When we went to the harbour in the morning the water was so smooth that you could see the stones on the bottom.';
  assert.ok(isEnglish(english));
  const others = {
    German:
      'Der Wind kam am Abend vom Meer her und legte sich erst in der Nacht. Als wir am Morgen in den Hafen gingen, war das Wasser so glatt, dass man die Steine auf dem Grund sehen konnte.',
    Dutch:
      'De wind kwam in de avond van zee en ging pas in de nacht liggen. Toen we in de ochtend naar de haven gingen, was het water zo glad dat je de stenen op de bodem kon zien.',
    French:
      "Le vent est venu de la mer dans la soirée et ne s'est calmé que dans la nuit. Quand nous sommes descendus au port le matin, on pouvait voir les pierres au fond. On me dit que son or est parti.",
    Spanish:
      'El viento llegó del mar por la tarde y no se calmó hasta la noche. Cuando fuimos al puerto por la mañana, el agua estaba tan lisa que se podían ver las piedras en el fondo. No me has dicho eso.',
    Italian:
      "Il vento arrivò dal mare la sera e non si calmò che nella notte. Quando la mattina andammo al porto, l'acqua era così liscia che si vedevano le pietre. Io non so do ve siano andate.",
    Danish:
      'Vinden kom fra havet om aftenen og lagde sig først om natten. Da vi gik ned til havnen, var vandet så glat, at man kunne se stenene. Vi stod der for en time, og han var glad for det.',
    Polish:
      'Wiatr przyszedł wieczorem od morza i ucichł dopiero w nocy. Kiedy rano poszliśmy do portu, woda była tak gładka, że można było zobaczyć kamienie na dnie. A on to do mnie powiedział.',
    Russian: 'Ветер пришёл вечером с моря и стих только ночью. Вода была такой гладкой, что были видны камни на дне.',
  };
  for (const [name, text] of Object.entries(others)) assert.ok(!isEnglish(text), name);
  assert.ok(!isEnglish(''));
  assert.ok(!isEnglish('风在傍晚从海上吹来，直到夜里才停。'));
});

test('windows have 160 words, the last one reaches back, and the longest texts are cut', () => {
  const { windowsOf, MAX_WINDOWS } = parts;
  const words = (count) => Array.from({ length: count }, (_, i) => `w${i}`).join(' ');
  assert.deepEqual(windowsOf(''), { windows: [], isWhole: true });
  for (const count of [1, 159, 160, 161, 320, 321, 2560]) {
    const text = words(count);
    const { windows, isWhole } = windowsOf(text);
    assert.ok(isWhole);
    assert.equal(windows.length, Math.ceil(count / 160));
    const parts = windows.map(({ start, end }) => text.slice(start, end).split(' '));
    for (const [i, part] of parts.entries()) assert.equal(part.length, Math.min(count, 160), `${count}, ${i}`);
    // The fresh parts of the windows are the whole text, in order.
    const fresh = windows.map(({ fresh, end }) => text.slice(fresh, end));
    assert.equal(fresh.join(' '), text);
  }
  const long = windowsOf(words(2561));
  assert.ok(!long.isWhole);
  assert.equal(long.windows.length, MAX_WINDOWS);
  const short = windowsOf(`a ${'b'.repeat(1e6)} c`);
  assert.ok(!short.isWhole);
  assert.ok(short.windows.every(({ start, end }) => end - start <= 2400));
});

test('windows of long words leave nothing out, and none is without text of its own', () => {
  const { windowsOf } = parts;
  const lengths = [3, 2400, 2401, 30, 5000, 1, 40];
  for (const text of [
    Array.from({ length: 400 }, (_, i) => `w${i}`.padEnd(30, 'x')).join(' '),
    lengths.map((length) => 'y'.repeat(length)).join(' '),
    `a${'🙂'.repeat(3000)} b`,
  ]) {
    const { windows, isWhole } = windowsOf(text);
    assert.ok(isWhole);
    let at = 0;
    for (const { start, end, fresh } of windows) {
      assert.ok(start <= fresh && fresh < end && end - start <= 2400, `${start}, ${fresh}, ${end}`);
      // Between windows there is a space at most.
      assert.match(text.slice(at, fresh), /^ ?$/);
      assert.doesNotMatch(text.slice(start, end), /^[\udc00-\udfff]/);
      at = end;
    }
    assert.equal(at, text.length);
  }
});

test('a token that begins with the space before a sentence is of that sentence', async () => {
  const { readLikelihoods, featuresOf } = parts;
  const text = 'One two. Three four. Five six';
  const starts = Uint32Array.from([0, 3, 7, 8, 14, 19, 20, 25]);
  const list = (from) => Float32Array.from(starts, (_, i) => -(from + i * i));
  const all = {
    logProbabilities: list(1),
    entropies: list(-9),
    variances: list(-99),
    ranks: starts.map((_, i) => i + 1),
  };
  const decoder = { likelihoods: async () => [{ starts, ...all, truncated: true }] };
  const [reading] = await readLikelihoods(decoder, [text], {});
  assert.equal(reading.isCut, true);
  const kept = (tokens) =>
    featuresOf(Object.fromEntries(Object.entries(all).map(([name, values]) => [name, tokens.map((i) => values[i])])));
  const [first, second, third] = parts.sentencesOf(text);
  for (const [sentence, others] of [
    [first, [3, 4, 5, 6, 7]],
    [second, [0, 1, 2, 6, 7]],
    [third, [0, 1, 2, 3, 4, 5]],
  ]) {
    const expected = kept(others);
    const got = reading.without(sentence);
    assert.equal(got.length, expected.length);
    for (const [i, value] of got.entries()) assert.ok(Math.abs(value - expected[i]) < 1e-12, `${sentence.start}, ${i}`);
  }
});

test('sentences are found with the segmenter and without it', () => {
  const { sentencesOf } = parts;
  const text = 'It rained. "Did it?" she asked! Nobody knew';
  const cut = (spans) => spans.map(({ start, end }) => text.slice(start, end));
  assert.deepEqual(cut(sentencesOf(text)).join(' '), text);
  assert.deepEqual(cut(sentencesOf(text, {})), ['It rained.', '"Did it?"', 'she asked!', 'Nobody knew']);
  assert.deepEqual(sentencesOf('', {}), []);
});

test('the interval of a share is that of Clopper and Pearson', () => {
  const { shareInterval, upperThreshold } = parts;
  // scipy.stats.beta.ppf
  for (const [count, total, low, high] of [
    [4, 91, 0.01210456730998, 0.1087349094168],
    [3, 50, 0.01254858783533, 0.1654819466038],
    [0, 50, 0, 0.0711217364642131],
  ]) {
    const [a, b] = shareInterval(count, total);
    assert.ok(Math.abs(a - low) < 1e-12 && Math.abs(b - high) < 1e-12, `${count} of ${total}: ${a}, ${b}`);
  }
  assert.equal(shareInterval(50, 50)[1], 1);
  const scores = Array.from({ length: 200 }, (_, i) => i);
  assert.deepEqual(upperThreshold(scores, 0.01), { threshold: 198, k: 2 });
  assert.deepEqual(upperThreshold(scores.slice(0, 50), 0.01), { threshold: 49, k: 1 });
});

test('a threshold comes from fifty texts at least, and says what it is worth', () => {
  const { calibrated } = parts;
  const scores = Array.from({ length: 200 }, (_, i) => i / 10);
  assert.throws(() => calibrated(scores.slice(0, 49), [], 60), { code: 'INVALID_INPUT', message: /50 .*got 49 of 60/ });
  const small = calibrated(scores.slice(0, 50), [], 50);
  assert.equal(small.report.falseAlarms, 1 / 51);
  assert.match(small.report.sentence, /highest score of your 50 texts.*99 texts are needed to speak of 1 %/);
  assert.match(calibrated(scores.slice(0, 98), [], 98).report.sentence, /99 texts are needed/);
  assert.doesNotMatch(calibrated(scores.slice(0, 99), [], 99).report.sentence, /needed/);
  const { report, thresholds, gate } = calibrated(scores, scores, 200);
  assert.deepEqual(thresholds, { machine: 19.8, sign: 19 });
  assert.equal(report.falseAlarms, 2 / 201);
  assert.deepEqual(report.interval, parts.shareInterval(2, 200));
  assert.doesNotMatch(report.sentence, /needed/);
  assert.equal(gate, 19.6);
  assert.equal(calibrated(scores, [], 200, { rate: 0.005 }).thresholds.machine, 19.9);
  const kept = calibrated(scores, [], 200, { floor: 25 });
  assert.deepEqual(kept.thresholds, { machine: 25, sign: 19 });
  assert.match(kept.report.sentence, /stays that of the detector/);
  assert.equal(calibrated(scores, [], 200, { floor: 5 }).thresholds.machine, 19.8);
});

test('the verdict follows from facts alone, and is never human', () => {
  const { judge } = parts;
  const facts = {
    score: 3,
    thresholds: { machine: 2, sign: 1 },
    tokens: 100,
    isEmpty: false,
    isEnglish: true,
    isNear: true,
    isWhole: true,
    aspects: { foreseen: 2, expected: -1, even: 0.1 },
  };
  const machine = judge(facts);
  assert.equal(machine.verdict, 'machine');
  assert.ok(Math.abs(machine.probability - 1 / (1 + Math.exp(-3))) < 1e-12);
  assert.match(machine.reasons.at(-1).text, /hint.*never proof. Do not use it to grade, punish, hire or accuse/);
  const sides = (reasons, side) => reasons.filter((one) => one.side === side).length;
  // One aspect is a reason for and one against a machine; the third is too weak.
  assert.deepEqual([sides(machine.reasons, 'for'), sides(machine.reasons, 'against')], [2, 1]);
  for (const change of [{ tokens: 99 }, { isNear: false }, { isEnglish: false }, { isEmpty: true }])
    assert.ok(
      judge({ ...facts, ...change }).reasons.every(({ side }) => side === 'limit'),
      JSON.stringify(change),
    );
  for (const [change, verdict, reason] of [
    [{ score: 2 }, 'uncertain', /more than one in a hundred/],
    [{ score: 1 }, 'no sign', /does not mean that a human/],
    [{ score: -9 }, 'no sign', /does not mean that a human/],
    [{ tokens: 99 }, 'uncertain', /99 tokens/],
    [{ isEnglish: false, score: undefined }, 'uncertain', /English/],
    [{ isEmpty: true, isEnglish: false, score: undefined, tokens: 0 }, 'uncertain', /empty/],
    [{ isNear: false }, 'uncertain', /unlike/],
    [{ thresholds: undefined }, 'uncertain', /calibrate/],
    [{ isWhole: false }, 'machine', /2560 words at most/],
    [{ isCut: true }, 'machine', /Only 100 tokens/],
    [{ worth: 1 / 100 }, 'machine', /one in a hundred/],
    [{ worth: 1 / 99 }, 'uncertain', /one in 99 may score as high; 99 texts are needed/],
    [{ worth: 1 / 99, score: 2 }, 'uncertain', /more than one in a hundred/],
    [{ own: 60 }, 'machine', /your 60 texts/],
  ]) {
    const got = judge({ ...facts, ...change });
    assert.equal(got.verdict, verdict, JSON.stringify(change));
    assert.equal(got.probability === null, verdict !== 'machine', JSON.stringify(change));
    assert.ok(
      got.reasons.some(({ text }) => reason.test(text)),
      JSON.stringify(got.reasons),
    );
  }
});
