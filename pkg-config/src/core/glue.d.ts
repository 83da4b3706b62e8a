import type { ClassifierEvaluation, ClassifierJson, LoadPlan } from '../../types/index.js';
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
  /** The way in which int8 products are added up: by the dot product of the engine, or in 16 bits where that is several instructions. */
  products: 'dot' | 'pairs';
  memoryBytes: number;
  /** In the WebGPU core: its work since it was started. */
  gpu?: GpuStats;
}

/** The work of a WebGPU core. */
export interface GpuStats {
  /** Kernels of the package that were dispatched. */
  dispatches: number;
  /** Results that were read back, and their bytes. */
  reads: number;
  bytesRead: number;
  /** Bytes of weights and inputs that were sent to the GPU. */
  bytesSent: number;
  /** The milliseconds of opening the GPU, of its self-tests, which compile kernels while models are loaded, and of handing over what was sent. */
  openMs: number;
  selfTestMs: number;
  sendMs: number;
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
    Pick<typeof webgpu, 'giveGpu' | 'openGpu' | 'testGpu' | 'closeGpu'> &
      Pick<typeof threads, 'sharedMemory' | 'setThreads' | 'help'>
  >;
