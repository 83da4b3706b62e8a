import type { Dtype } from '../../../types/index.js';
import type { GpuReport } from '../glue.js';

export * from './cpu.js';
export { default } from './cpu.js';

/** Creates the GPU device and tests it with weights of this format. */
export declare function initGpu(dtype: Dtype): Promise<GpuReport>;
