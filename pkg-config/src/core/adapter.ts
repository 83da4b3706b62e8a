import type { AdapterReport } from '../../types/index.js';

interface AdapterInfo {
  vendor?: string;
  architecture?: string;
  device?: string;
  description?: string;
  isFallbackAdapter?: boolean;
}

interface Adapter {
  info?: AdapterInfo;
  /** The flag's place in older browsers; newer ones have it in `info`. */
  isFallbackAdapter?: boolean;
}

interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<Adapter | null>;
}

/** A GPU that no global object has, and the classes of its errors by their names. */
export interface GivenGpu {
  gpu: Gpu;
  classes: Record<string, unknown>;
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|\bwarp\b/i;

/** Finds the adapter that WebGPU would use, of a given GPU or of that of `navigator`, or returns a clause that says why there is none. */
export async function findAdapter(given?: Gpu): Promise<AdapterReport | string> {
  const gpu = given ?? (globalThis as { navigator?: { gpu?: Gpu } }).navigator?.gpu;
  if (!gpu) return 'WebGPU does not exist here (no navigator.gpu)';
  let adapter: Adapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (error) {
    return `WebGPU gave no adapter (${String(error)})`;
  }
  if (!adapter) return 'WebGPU has no adapter on this machine';
  const { vendor = '', architecture = '', device = '', description = '', isFallbackAdapter } = adapter.info ?? {};
  const software =
    Boolean(isFallbackAdapter ?? adapter.isFallbackAdapter) ||
    SOFTWARE.test([vendor, architecture, device, description].join(' '));
  return { vendor, architecture, description, software };
}
