import { cores } from '#runtime';
import { restartsSoFar } from './calls/restarts.js';
import { findAdapter } from './core/adapter.js';
import { hasRelaxedSimd, hasSimd128 } from './core/simd.js';
import { version } from './version.js';

/** Parts of the global scope that not every runtime has. */
interface Host {
  navigator?: {
    userAgent?: string;
    hardwareConcurrency?: number;
    deviceMemory?: number;
    storage?: { estimate?(): Promise<{ quota?: number; usage?: number }>; persisted?(): Promise<boolean> };
  };
  process?: { versions?: Record<string, string | undefined>; platform?: string; arch?: string };
  crossOriginIsolated?: boolean;
  indexedDB?: unknown;
  isSecureContext?: boolean;
  performance?: { memory?: { usedJSHeapSize?: number } };
}

/** Collects one JSON-able object for a bug report. A part that fails says so in its place; nothing is thrown. */
export async function diagnose(): Promise<Record<string, unknown>> {
  const host = globalThis as Host;
  const parts: Record<string, () => unknown> = {
    runtime: () => ({
      userAgent: host.navigator?.userAgent,
      versions: runtimeVersions(host),
      platform: host.process?.platform,
      arch: host.process?.arch,
      hardwareConcurrency: host.navigator?.hardwareConcurrency,
      deviceMemoryGiB: host.navigator?.deviceMemory,
      secureContext: host.isSecureContext,
      crossOriginIsolated: host.crossOriginIsolated ?? false,
    }),
    wasm: () => ({ simd128: hasSimd128(), relaxedSimd: hasRelaxedSimd() }),
    cpuCore: async () => {
      const instance = await cores.cpu.instance();
      return instance.run(({ coreInfo }) => ({ ...coreInfo() }));
    },
    webgpuCore: async () => {
      if (!cores.webgpu) return 'not in this entry';
      const instance = await cores.webgpu.running();
      return instance ? instance.run(({ coreInfo }) => ({ ...coreInfo() })) : 'not loaded';
    },
    webgpuAdapter: async () => {
      const given = await cores.gpu?.(true);
      return typeof given === 'string' ? given : findAdapter(given?.gpu);
    },
    restarts: restartsSoFar,
    storage: async () => ({
      indexedDB: Boolean(host.indexedDB),
      persisted: await host.navigator?.storage?.persisted?.(),
      quotaBytes: (await host.navigator?.storage?.estimate?.())?.quota,
      usageBytes: (await host.navigator?.storage?.estimate?.())?.usage,
    }),
    javascriptHeapBytes: () => host.performance?.memory?.usedJSHeapSize,
  };
  const report: Record<string, unknown> = { version, entry: cores.runtime };
  for (const [name, part] of Object.entries(parts)) {
    try {
      const found = known(await part());
      if (found !== undefined) report[name] = found;
    } catch (error) {
      report[name] = { error: String(error) };
    }
  }
  return report;
}

/** Removes the properties that are `undefined`, so that the report has only the values that this runtime provides. */
function known(part: unknown): unknown {
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
}

function runtimeVersions({ process }: Host): Record<string, string> {
  const { node, deno, bun, v8 } = process?.versions ?? {};
  return Object.fromEntries(
    Object.entries({ node, deno, bun, v8 }).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}
