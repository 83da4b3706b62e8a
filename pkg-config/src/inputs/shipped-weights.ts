import { decodeBase64 } from '../core/base64.js';
import { PilotlightError, toPilotlightError } from '../error.js';

/** What the core reads: weights as they are packed. */
export const FILE = 'pilotlight-q8.safetensors';

/** Weights of the package, each in a script of its own that only those fetch who use it. */
export async function shippedWeights(name: string, script: () => Promise<{ base64: string }>): Promise<Uint8Array> {
  try {
    const { base64 } = await script();
    return decodeBase64(base64);
  } catch (error) {
    const { message } = toPilotlightError(error);
    throw new PilotlightError('FETCH_FAILED', `weights/${name}.js: ${message}`, error);
  }
}
