import { ImageCode } from '../core/image-code.js';
import { RemoteInstance, type WorkerPort } from '../worker/remote-instance.js';
import { fetchedCores, notCopied } from './fetched.js';
import type { Spawn, Spawner } from './spawn.js';

/** The entry for browsers, and for any runtime that can fetch files beside this one. */
export const cores = /* @__PURE__ */ fetchedCores(() => import('#core/webgpu.js'));

/** The decoders of images, which most pages never fetch. */
export const images = /* @__PURE__ */ new ImageCode({
  name: 'core/images.wasm',
  missing: notCopied('images'),
  wasm: () => fetch(new URL('./core/images.wasm', import.meta.url)),
});

export const spawner: Spawner | undefined = {
  byItself: true,
  places: 'pages',
  isHere: () => typeof document === 'object' && typeof Worker === 'function',
  code: () => cores.cpu.given(),
  start,
};

interface Host {
  hardwareConcurrency?: number;
  /** GiB, of which browsers tell 8 at most. */
  deviceMemory?: number;
}

function start(): Awaited<ReturnType<Spawn>> {
  try {
    return new RemoteInstance({
      port: startScript() as unknown as WorkerPort,
      spawn: start,
      glues: () => ({
        webgpu: new URL('./core/webgpu.js', import.meta.url).href,
        threads: new URL('./core/threads.js', import.meta.url).href,
      }),
      helper: () => startScript() as unknown as WorkerPort,
      device() {
        const { hardwareConcurrency = 1, deviceMemory = 4 } = navigator as Host;
        return { cores: hardwareConcurrency, memory: (deviceMemory * 2 ** 30) / 4 };
      },
    });
  } catch (error) {
    return `no worker could be started (${error instanceof Error ? error.message : String(error)})`;
  }
}

const startScript = (): Worker =>
  isElsewhere(import.meta.url)
    ? fromElsewhere()
    : new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'pilotlight' });

/** Webpack and others write the address of the source's file in place of `import.meta.url`, and that of the bundle in place of the `new URL`. */
function isElsewhere(address: string): boolean {
  const { protocol, origin } = new URL(address);
  return protocol.startsWith('http') && origin !== location.origin;
}

/** A page may start only workers of its own origin, and these may import scripts of any other. */
function fromElsewhere(): Worker {
  // The address is not made by `new URL`, for which bundlers would copy the script once more.
  const address = import.meta.url.replace(/[^/]*$/, 'worker.js');
  const script = URL.createObjectURL(new Blob([`import ${JSON.stringify(address)};`], { type: 'text/javascript' }));
  const worker = new Worker(script, { type: 'module', name: 'pilotlight' });
  // The browser has read the script by then.
  setTimeout(() => URL.revokeObjectURL(script), 60_000);
  return worker;
}
