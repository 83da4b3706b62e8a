import type { ClassifierJson, TextClassifier } from 'pilotlight';
import type { Example } from './delimited';

/** The examples that a saved classifier has, without the names of labels that the library added. */
export function examplesIn({ labels, texts = [], labelTexts = [], examples }: ClassifierJson): Example[] {
  return (examples?.classes ?? [])
    .map((label, i) => ({ text: texts[i] ?? '', label: labels[label] ?? '', named: labelTexts[i] === 1 }))
    .filter(({ text, named }) => text && !named)
    .map(({ text, label }) => ({ text, label }));
}

/** Saves a classifier as a file, with how careful it is now. */
export function save(classifier: TextClassifier, unknown: number): void {
  const json = JSON.stringify({ ...classifier.toJSON(), unknown });
  const url = URL.createObjectURL(new Blob([json], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'classifier.json';
  link.click();
  // The browser reads the address after this call.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
