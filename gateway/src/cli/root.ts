import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the gateway's package. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
