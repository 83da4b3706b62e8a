import type { AdapterReport, ClassifierEvaluation, ClassifierJson, LoadPlan } from '../../types/index.js';
import type * as cpu from './generated/cpu.js';
import type * as threads from './generated/threads.js';
import type * as webgpu from './generated/webgpu.js';

/** The forms in which the glue takes WebAssembly code. */
export type WasmSource = WebAssembly.Module | BufferSource | Response;

/** A core's version and features. `memoryBytes` is the size of its linear memory, which never shrinks. */
export interface CoreInfo {
  version: string;
  simd: 'simd128' | 'relaxed-simd';
  webgpu: boolean;
  /** How int8 products are added up: by the dot product of the engine, or in 16 bits where that is several instructions. */
  products: 'dot' | 'pairs';
  memoryBytes: number;
  /** In the WebGPU core: how many kernels of the package were dispatched so far, and how many results of how many bytes were read back. */
  gpu?: { dispatches: number; reads: number; bytesRead: number };
}

/** The result of the WebGPU self-test: the times of a probe on CPU and GPU, and the largest difference of their outputs. */
export interface GpuReport {
  adapter: AdapterReport;
  cpuMs: number;
  gpuMs: number;
  maxAbsError: number;
}

/** The part of a plan that the core computes. */
export type CorePlan = Omit<LoadPlan, 'model' | 'device' | 'dtype' | 'reason' | 'fits' | 'problem'>;

/** The result of evaluating a classifier, with classes and outcomes by their indices. */
export interface CoreEvaluation extends Omit<ClassifierEvaluation, 'confusions'> {
  confusions: { class: number; predicted: number; items: number[] }[];
  /** The index of the example of each outcome. */
  items: number[];
}

/** The part of a classifier that the core has. */
export type CoreClassifier = Pick<ClassifierJson, 'head' | 'examples' | 'heldOut'> & { classCount: number };

/** The JavaScript module of a core. Only the WebGPU core has what is about a GPU, and only the core with shared memory has what is about threads. */
export type Glue = typeof cpu &
  Partial<
    Pick<typeof webgpu, 'giveGpu' | 'initGpu' | 'closeGpu'> &
      Pick<typeof threads, 'sharedMemory' | 'setThreads' | 'help'>
  >;
