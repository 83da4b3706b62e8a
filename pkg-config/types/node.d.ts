import type { Store } from './index.js';

/**
 * A store for `TextEmbedder.load` and `models` that keeps its values in a folder, which is made at the first write. Several
 * processes may use it at once. Values are durable, and a process that dies leaves no partial value.
 * @throws {TypeError} where `folder` is not a string, or is empty
 */
export declare function fileStore(folder: string): Store;
