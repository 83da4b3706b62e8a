import type { ClassifierJson, TextClassifier } from 'pilotlight';
import { downloadJson } from '../page/download';
import type { Example } from './delimited';

/** The examples that a saved classifier has, without the names of labels that the library added. */
export function examplesIn({ labels, texts = [], labelTexts = [], examples }: ClassifierJson): Example[] {
  return (examples?.classes ?? [])
    .map((label, i) => ({ text: texts[i] ?? '', label: labels[label] ?? '', named: labelTexts[i] === 1 }))
    .filter(({ text, named }) => text && !named)
    .map(({ text, label }) => ({ text, label }));
}

/** Saves a classifier as a file, with its present share of requests that may be refused. */
export function save(classifier: TextClassifier, unknown: number): void {
  downloadJson('classifier.json', JSON.stringify({ ...classifier.toJSON(), unknown }));
}
