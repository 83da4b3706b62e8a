import type { Dtype } from '../../../types/index.js';
import type { GpuTimes } from '../glue.js';

export * from './cpu.js';
export { default } from './cpu.js';

/** Takes the GPU that is used in place of the one of `navigator`, and the classes of its errors by their names. */
export declare function giveGpu(gpu: object, classes: Record<string, unknown>): void;

/** Creates the GPU device and tests it with weights of this format. */
export declare function openGpu(): Promise<void>;
/** Resolves to the largest difference from the CPU. */
export declare function testGpu(dtype: Dtype): Promise<number>;
export declare function timeGpu(dtype: Dtype): Promise<GpuTimes>;

/** Frees the memory of the GPU, after which this instance computes nothing on it any more. */
export declare function closeGpu(): void;
