/** The exports of `pilotlight/judge`. It is a separate script, because few programs that draw digits also read them. */
export { DigitClassifier, DigitClassifier as DigitJudge } from './digit-classifier.js';
