import { INLINE_CPU } from './inline-core.js';
import { pilotlightOn } from './pilotlight.js';

export { PilotlightError } from './error.js';

/** Node, Deno, Bun, and bundles of one file. */
export const { TextEmbedder, models, init, diagnose } = /* @__PURE__ */ pilotlightOn({ entry: 'inline', cpu: INLINE_CPU });
