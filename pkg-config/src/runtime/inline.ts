import * as glue from '#core/cpu.js';
import type { Cores } from '../core/backend.js';
import { decodeBase64 } from '../core/base64.js';
import { Core } from '../core/core.js';
import { ImageCode } from '../core/image-code.js';
import { cpuCore } from '../core/simd.js';
import { RemoteInstance } from '../worker/remote-instance.js';
import { ThreadPort } from '../worker/thread-port.js';
import { gpuOfProcess, webgpuFiles } from './gpu.js';
import type { Spawn, Spawner } from './spawn.js';
import { deviceOfProcess, threads } from './threads.js';

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
  webgpu: /* @__PURE__ */ new Core(webgpuFiles),
  gpu: gpuOfProcess,
};

/** The decoders of images, as text like the core. */
export const images = /* @__PURE__ */ new ImageCode({
  name: 'core/images.wasm',
  wasm: async () => decodeBase64((await import('#core/images.b64.js')).base64),
});

export const spawner: Spawner | undefined = {
  byItself: false,
  places: 'Node, Deno and Bun',
  isHere: () => threads() !== undefined,
  code: () => cores.cpu.module(),
  start,
};

/** Starts a thread. Its script is text for the same reason as the core. */
async function start(): Promise<Awaited<ReturnType<Spawn>>> {
  try {
    const { script } = await import('#core/thread.js');
    const { Worker } = threads() as NonNullable<ReturnType<typeof threads>>;
    // Without the options of the process: a program's preloaded scripts have no place there.
    const thread = new Worker(script, { eval: true, name: 'pilotlight', execArgv: [] });
    return new RemoteInstance({
      port: new ThreadPort(thread),
      spawn: start,
      glues: () => ({ webgpu: '', threads: '' }),
      device: deviceOfProcess,
    });
  } catch (error) {
    return `no worker could be started (${error instanceof Error ? error.message : String(error)})`;
  }
}
