import { findAdapter } from './adapter.js';
import type { Cores } from './backend.js';
import { hasRelaxedSimd, hasSimd128 } from './simd.js';
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

/** `diagnose` over the cores of one runtime, of which `entry` is the name. */
export function diagnoseOn(entry: string, cores: Cores): () => Promise<Record<string, unknown>> {
  return () => diagnose(entry, cores);
}

/** One JSON-able object for a bug report. A part that fails says so in its place; nothing is thrown. */
async function diagnose(entry: string, cores: Cores): Promise<Record<string, unknown>> {
  const host = globalThis as Host;
  const parts: Record<string, () => unknown> = {
    runtime: () => ({
      userAgent: host.navigator?.userAgent ?? null,
      versions: runtimeVersions(host),
      platform: host.process?.platform ?? null,
      arch: host.process?.arch ?? null,
      hardwareConcurrency: host.navigator?.hardwareConcurrency ?? null,
      deviceMemoryGiB: host.navigator?.deviceMemory ?? null,
      secureContext: host.isSecureContext ?? null,
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
    webgpuAdapter: findAdapter,
    storage: async () => ({
      indexedDB: Boolean(host.indexedDB),
      persisted: (await host.navigator?.storage?.persisted?.()) ?? null,
      quotaBytes: (await host.navigator?.storage?.estimate?.())?.quota ?? null,
      usageBytes: (await host.navigator?.storage?.estimate?.())?.usage ?? null,
    }),
    javascriptHeapBytes: () => host.performance?.memory?.usedJSHeapSize ?? null,
  };
  const report: Record<string, unknown> = { version, entry };
  for (const [name, part] of Object.entries(parts)) {
    try {
      report[name] = await part();
    } catch (error) {
      report[name] = { error: String(error) };
    }
  }
  return report;
}

function runtimeVersions({ process }: Host): Record<string, string> {
  const { node, deno, bun, v8 } = process?.versions ?? {};
  return Object.fromEntries(
    Object.entries({ node, deno, bun, v8 }).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}
