import type { DetectorAnswer, DetectorClassifier, SequenceClassifier } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';

/** Matches the names of labels for a machine's text. */
const MACHINE = /fake|machine|generated|(?<![a-z])ai(?![a-z])/i;

/** Matches the names of labels for a person's text, of which some name the machine too: "not AI", "human-generated". */
const HUMAN = /not|non|human|real/i;

/**
 * Returns the index of the label for a machine's text: the one that is given, by name or index, else the only one whose name says so. A name such as
 * `LABEL_1` does not.
 * @throws {PilotlightError} `INVALID_INPUT`
 */
export function machineLabelOf(labels: readonly string[], given: unknown): number {
  const names = labels.map((label) => `'${label}'`).join(', ');
  if (given === undefined) {
    const found = labels.flatMap((label, i) => (MACHINE.test(label) && !HUMAN.test(label) ? [i] : []));
    if (found.length === 1) return found[0] as number;
    throw new PilotlightError(
      'INVALID_INPUT',
      `machineLabel: say which of the model's labels means a machine: ${names}`,
    );
  }
  const at = typeof given === 'string' ? labels.indexOf(given) : given;
  if (Number.isInteger(at) && labels[at as number] !== undefined) return at as number;
  throw new PilotlightError('INVALID_INPUT', `machineLabel: expected one of ${names}, got ${shown(given)}`);
}

/** Returns the classifier in the form that a detector calls. */
export function detectorClassifier(classifier: SequenceClassifier): DetectorClassifier {
  return {
    async classify(texts, options) {
      const results = await classifier.classify(texts, options);
      return results.map(({ scores, tokens, truncated }): DetectorAnswer => {
        const probabilities = scores.map(({ label, probability }) => {
          if (probability !== null) return probability;
          const message = `classifier: label '${label}' is a number that the model estimates, and a detector needs probabilities`;
          throw new PilotlightError('UNSUPPORTED_MODEL', message);
        });
        return Object.assign(probabilities, { tokens, truncated });
      });
    },
  };
}
