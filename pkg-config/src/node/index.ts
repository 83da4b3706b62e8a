/** What only runtimes with files have. It carries no core: models are loaded by `pilotlight` itself. */
export { fileStore } from './file-store.js';
