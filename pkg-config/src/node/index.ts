/** The exports of `pilotlight/node`, for runtimes with a file system. It contains no core: `pilotlight` itself loads models. */
export { fileStore } from './file-store.js';
