/** The exports of `pilotlight`, the same in every runtime: the build makes one script of it for each file in `runtime/`. */
export { Decoder } from './decoder.js';
export { DetectionHistory } from './detection-history.js';
export { diagnose } from './diagnose.js';
export { DigitGenerator } from './digit-generator.js';
export { PilotlightError } from './error.js';
export { ImageTextEmbedder } from './image-text-embedder.js';
export { init } from './init.js';
export { models } from './models.js';
export { Reranker } from './reranker.js';
export { SemanticRouter } from './semantic-router.js';
export { SequenceClassifier } from './sequence-classifier.js';
export { TextClassifier } from './text-classifier.js';
export { TextDetector } from './text-detector.js';
export { TextEmbedder } from './text-embedder.js';
export { VectorIndex } from './vector-index.js';
