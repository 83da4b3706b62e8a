import * as glue from './core/cpu.js';
import { pilotlightOn } from './pilotlight.js';
import { cpuCore } from './simd.js';

export { PilotlightError } from './error.js';

/** Node, Deno, Bun, and bundles of one file: the code travels as base64 text, so no file is read and no permission is needed. */
export const { TextEmbedder, models, init, diagnose } = /* @__PURE__ */ pilotlightOn({
  entry: 'inline',
  cpu: {
    name: 'the CPU core',
    glue: () => glue,
    async wasm() {
      const { base64 } = await (cpuCore() === 'relaxed' ? import('./core/relaxed.b64.js') : import('./core/simd.b64.js'));
      return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    },
  },
});
