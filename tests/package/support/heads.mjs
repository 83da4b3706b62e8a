// Heads: the goldens of scikit-learn, and heads that are fitted to their examples.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { TextClassifier } from 'pilotlight';
import { ROOT } from './models.mjs';

export const HEADS = ['logistic', 'linear-svm', 'rbf-svm', 'prototype', 'knn'];

export const FOLDER = path.join(ROOT, 'tests/goldens/heads');
export const goldens = (file) => JSON.parse(readFileSync(path.join(FOLDER, file), 'utf8'));

/** An embedder whose texts are the indices of given vectors. */
export function fake(vectors) {
  const dimensions = vectors[0].length;
  return {
    dimensions,
    async embed(texts) {
      const list = [texts].flat();
      const data = Float32Array.from(list.flatMap((text) => vectors[Number(text)]));
      return { data, dims: [list.length, dimensions] };
    },
  };
}

/** Fits a head to the examples of a golden, and returns all of it that was computed. */
export async function fittedHead(head, { train, classes }) {
  const examples = { vectors: Float32Array.from(train.flat()), labels: classes.map(String) };
  const classifier = await TextClassifier.fit(fake(train), examples, { head, labelText: false });
  const { head: own, heldOut } = classifier.toJSON();
  classifier.dispose();
  return JSON.parse(JSON.stringify({ head: own, heldOut }));
}
