/** All operations: the app mounts them, `openapi.json` and the tests of authentication are made from them. */
import type { Operation } from './operation.ts';

export const operations: readonly Operation[] = [];
