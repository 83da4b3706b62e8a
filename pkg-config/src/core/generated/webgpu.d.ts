import type { Dtype } from '../../../types/index.js';

export * from './cpu.js';
export { default } from './cpu.js';

/** Takes the GPU that is used in place of the one of `navigator`, and the classes of its errors by their names. */
export declare function giveGpu(gpu: object, classes: Record<string, unknown>): void;

/** Opens the GPU; later calls do nothing. */
export declare function openGpu(): Promise<void>;

/** Compares the GPU with the CPU, with weights in this format, and resolves to the largest difference. */
export declare function testGpu(dtype: Dtype): Promise<number>;

/** Frees the memory of the GPU, after which this instance computes nothing on it any more. */
export declare function closeGpu(): void;
