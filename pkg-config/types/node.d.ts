import type { Store } from './index.js';

/**
 * A folder as a store for `TextEmbedder.load` and `models`; it is made when the first model comes. Several processes may use it
 * at once. Values are durable, and a process that dies leaves none in part.
 * @throws {TypeError} where `folder` is no text
 */
export declare function fileStore(folder: string): Store;
