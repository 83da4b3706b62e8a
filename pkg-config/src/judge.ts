/** What `pilotlight/judge` exports. It is a script of its own, because few who draw digits also read them. */
export { DigitClassifier, DigitClassifier as DigitJudge } from './digit-classifier.js';
