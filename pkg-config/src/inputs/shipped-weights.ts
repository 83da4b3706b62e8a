import { decodeBase64 } from '../core/base64.js';
import { PilotlightError, toPilotlightError } from '../error.js';

/** The name of the file of packed weights that the core reads. */
export const FILE = 'pilotlight-q8.safetensors';

/** Loads weights of the package. Each network's are in a script of its own, so that only its users fetch it. */
export async function shippedWeights(name: string, script: () => Promise<{ base64: string }>): Promise<Uint8Array> {
  try {
    const { base64 } = await script();
    return decodeBase64(base64);
  } catch (error) {
    const { message } = toPilotlightError(error);
    throw new PilotlightError('FETCH_FAILED', `weights/${name}.js: ${message}`, error);
  }
}
