import * as glue from '#core/cpu.js';
import type { Cores } from '../core/backend.js';
import { decodeBase64 } from '../core/base64.js';
import { Core } from '../core/core.js';
import { cpuCore } from '../core/simd.js';
import type { Spawn } from './spawn.js';

/**
 * The core for Node, Deno, Bun, and bundles of one file. It is base64 text in a script of its own, so that no file is read and no
 * permission is needed.
 */
export const cores: Cores = {
  runtime: 'inline',
  cpu: /* @__PURE__ */ new Core({
    name: 'the CPU core',
    glue: () => glue,
    async wasm() {
      const { base64 } = await (cpuCore() === 'relaxed' ? import('#core/relaxed.b64.js') : import('#core/simd.b64.js'));
      return decodeBase64(base64);
    },
  }),
};

/** Calls run on the thread that makes them. */
export const spawn: Spawn | undefined = undefined;
