import type { AdapterReport, LoadPlan } from '../../types/index.js';
import type * as cpu from './generated/cpu.js';
import type * as webgpu from './generated/webgpu.js';

/** What WebAssembly code can be made from. */
export type WasmSource = WebAssembly.Module | BufferSource | Response;

/** What a core says of itself. `memoryBytes` is its linear memory, which only ever grows. */
export interface CoreInfo {
  version: string;
  simd: 'simd128' | 'relaxed-simd';
  webgpu: boolean;
  memoryBytes: number;
}

/** Outcome of the WebGPU self-test: the timed probe on both processors, and the largest difference of their results. */
export interface GpuReport {
  adapter: AdapterReport;
  cpuMs: number;
  gpuMs: number;
  maxAbsError: number;
}

/** What a core knows of a plan. */
export type CorePlan = Omit<LoadPlan, 'model' | 'device' | 'dtype' | 'reason' | 'fits' | 'problem'>;

/** A core's JavaScript. Only the WebGPU core has `initGpu`. */
export type Glue = typeof cpu & Partial<Pick<typeof webgpu, 'initGpu'>>;
