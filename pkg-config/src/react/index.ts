/** The exports of `pilotlight/react`. Nothing happens when it is imported. */
export { useDigitGenerator, useImageTextEmbedder, useTextEmbedder, useVectorIndex } from './use-models.js';
export { useSearch } from './use-search.js';
