// Measures TextClassifier on banking77 with real MiniLM vectors: accuracy, calibration, refusals and time.
//
//   node benches/heads.mjs [--json FILE] [--heads logistic,prototype,knn]
//
// `seconds` is one fit, `perText` milliseconds from a request of at most 40 characters to its label, `perVector` the same without the
// embedding. Accuracies and AUROCs are exact; times are of a machine that may be busy.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { TextClassifier } from 'pilotlight';
import { DIMENSIONS, draws, HELD_OUT, loadEmbedder, rows, take, vectorsOf } from './banking77.mjs';

const { values: options } = parseArgs({
  options: { json: { type: 'string' }, heads: { type: 'string', default: 'logistic,rbf-svm' } },
});

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const ascending = (values) => Float64Array.from(values).sort();
const median = (values) => ascending(values)[values.length >> 1];

/** The mean of each figure; what is no number is the same in all rows. */
const meanOf = (all) =>
  Object.fromEntries(
    Object.entries(all[0]).map(([name, value]) => [
      name,
      typeof value === 'number' ? mean(all.map((row) => row[name])) : value,
    ]),
  );

/**
 * Computes the separation of two sets by their scores: the area under the ROC curve, which is the share of pairs whose `inside` is higher than the
 * `outside`, ties being half; and the share of `outside` under the threshold under which 5 % of `inside` are.
 */
function separation(inside, outside) {
  const [high, low] = [ascending(inside), ascending(outside)];
  const threshold = high[Math.floor(0.05 * high.length)];
  let [wins, under, upTo] = [0, 0, 0];
  for (const score of high) {
    while (low[under] < score) under += 1;
    while (low[upTo] <= score) upTo += 1;
    wins += (under + upTo) / 2;
  }
  return {
    auroc: wins / (high.length * low.length),
    rejectedAt5: low.filter((score) => score < threshold).length / low.length,
  };
}

/** An embedder whose vectors were made before, so that only the rest of the work of `classify` is timed. */
function keptEmbedder(...sets) {
  const kept = new Map();
  for (const { texts, vectors } of sets)
    for (const [i, text] of texts.entries()) kept.set(text, vectors.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS));
  return {
    dimensions: DIMENSIONS,
    async embed(texts) {
      const list = [texts].flat();
      const data = new Float32Array(list.length * DIMENSIONS);
      for (const [i, text] of list.entries()) data.set(kept.get(text), i * DIMENSIONS);
      return { data, dims: [list.length, DIMENSIONS] };
    },
  };
}

/** Milliseconds of `classify` for one text: the median of many, and the least, which other work of the machine hardly changes. */
async function timed(name, classifier, texts) {
  const times = [];
  for (const text of texts) {
    const start = performance.now();
    await classifier.classify(text);
    times.push(performance.now() - start);
  }
  // The first calls are not compiled yet.
  const later = times.slice(20);
  return { [name]: median(later), [`${name}Least`]: Math.min(...later) };
}

const { train, test } = rows;
const all = [...train.keys()];
const short = test.map(({ text }) => text).filter((text) => text.length <= 40);
const results = [];
const say = (row) => {
  results.push(row);
  console.log(JSON.stringify(row));
};
let simd;

for (const dtype of ['q8', 'f32']) {
  const embedder = await loadEmbedder(dtype);
  ({ simd } = embedder.backend);
  const sets = {};
  for (const [name, list] of Object.entries(rows)) {
    const vectors = await vectorsOf(embedder, dtype, name);
    sets[name] = { vectors, texts: list.map(({ text }) => text), labels: list.map(({ label }) => label) };
  }
  const kept = keptEmbedder(sets.test, sets.sts);
  const examplesOf = (indices) => ({
    vectors: take(sets.train.vectors, indices),
    labels: indices.map((i) => train[i].label),
    texts: indices.map((i) => train[i].text),
  });

  /** Fits to examples and evaluates on the test set; times in seconds for the fit, and in milliseconds for one text. */
  async function measure(name, indices, fit) {
    const start = performance.now();
    const classifier = await TextClassifier.fit(embedder, examplesOf(indices), fit);
    const seconds = (performance.now() - start) / 1000;
    const { vectors, labels } = sets.test;
    const { accuracy, macroF1, calibrationError, coverage } = await classifier.evaluate({ vectors, labels });
    const at5 = coverage.find(({ rate }) => rate === 0.05);
    const perText = await timed('perText', classifier, short.slice(0, 120));
    // Without texts, because the other embedder has none of theirs.
    const beyond = await TextClassifier.fromJSON(kept, {
      ...classifier.toJSON(),
      embedder: undefined,
      texts: undefined,
    });
    const perVector = await timed('perVector', beyond, sets.test.texts.slice(0, 520));
    for (const one of [classifier, beyond]) one.dispose();
    const figures = { accuracy, macroF1, calibrationError, ...(at5 && { refusedAt5: 1 - at5.coverage }) };
    return { name, dtype, ...figures, seconds, ...perText, ...perVector };
  }

  /** Fits without ten labels, and separates the other test requests from those of the ten (near) and from STS sentences (far). */
  async function outOfScope(name, indices, heldOut) {
    const inScope = indices.filter((i) => !heldOut.includes(train[i].label));
    const classifier = await TextClassifier.fit(kept, examplesOf(inScope), { labelText: false });
    const scores = async (texts) => {
      const answers = await classifier.classify(texts);
      return answers.map(({ probability, nearest }) => probability * nearest.cosine);
    };
    const isIn = ({ label }) => !heldOut.includes(label);
    const textsOf = (list) => list.map(({ text }) => text);
    const inside = await scores(textsOf(test.filter(isIn)));
    const near = separation(inside, await scores(textsOf(test.filter((row) => !isIn(row)))));
    const far = separation(inside, await scores(sets.sts.texts));
    classifier.dispose();
    return {
      name,
      dtype,
      nearAuroc: near.auroc,
      nearRejectedAt5: near.rejectedAt5,
      farAuroc: far.auroc,
      farRejectedAt5: far.rejectedAt5,
    };
  }

  /** The mean over five runs, and the standard deviation of the figure that moves most. */
  async function outOfScopeOfFive(name, indicesOf) {
    const five = [];
    for (const [run, heldOut] of HELD_OUT.entries()) five.push(await outOfScope(name, indicesOf(run), heldOut));
    const row = meanOf(five);
    const nearDeviation = Math.sqrt(mean(five.map(({ nearAuroc }) => (nearAuroc - row.nearAuroc) ** 2)));
    say({ ...row, nearDeviation });
  }

  for (const head of options.heads.split(','))
    if (dtype === 'f32' || head === 'logistic') say(await measure(`${head}, all`, all, { head, labelText: false }));
  for (const each of [10, 5, 1]) {
    const five = [];
    for (const indices of draws(each)) five.push(await measure(`logistic, ${each} per label`, indices, {}));
    say(meanOf(five));
  }
  await outOfScopeOfFive('out of scope, all', () => all);
  await outOfScopeOfFive('out of scope, 10 per label', (run) => draws(10)[run]);
  embedder.dispose();
}
const machine = `${os.cpus()[0].model.trim()}, ${os.cpus().length} cores; Node ${process.versions.node}, ${simd}`;
if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine, rows: results }, null, 1)}\n`);
