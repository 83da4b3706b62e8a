// Checks by the package what each version of scikit-learn answered: every probability, and the label where a head has none.
//
//   node tests/sklearn/check.mjs FOLDER    the files that tests/sklearn/fit.py wrote
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { TextClassifier } from 'pilotlight';
import { fake } from '../package/support/heads.mjs';

/** The vectors are the same f32 values on both sides, so that only the order of sums in f64 differs. */
const TOLERANCE = 1e-9;

const [folder] = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
assert.ok(files.length >= 5, `${folder} has ${files.length} files, expected one for each version`);
for (const file of files.sort()) {
  const { version, cases, refused } = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  let largest = 0;
  let values = 0;
  for (const { name, classifier: json, test, predictions, probabilities } of cases) {
    const where = `scikit-learn ${version}, ${name}`;
    const classifier = await TextClassifier.fromJSON(fake(test), json);
    const answers = await classifier.classify(
      test.map((_, i) => `${i}`),
      { topK: json.labels.length },
    );
    classifier.dispose();
    for (const [i, { label, scores }] of answers.entries()) {
      assert.equal(label, json.labels[predictions[i]], `${where}: label of vector ${i}`);
      if (!probabilities) continue;
      for (const { label: one, probability } of scores) {
        const error = Math.abs(probability - probabilities[i][json.labels.indexOf(one)]);
        assert.ok(error < TOLERANCE, `${where}: probability of ${one} of vector ${i} is off by ${error}`);
        largest = Math.max(largest, error);
        values += 1;
      }
    }
  }
  assert.ok(values > 500, `scikit-learn ${version}: only ${values} probabilities were compared`);
  console.log(
    `scikit-learn ${version}, package: ${cases.length} classifiers, ${values} probabilities, largest difference ${largest.toExponential(1)}; all labels equal; ${refused.length} unsupported refused by name`,
  );
}
