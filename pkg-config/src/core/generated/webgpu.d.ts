import type { GpuReport } from '../glue.js';

export * from './cpu.js';
export { default } from './cpu.js';

/** Creates the GPU device and tests it. */
export declare function initGpu(): Promise<GpuReport>;
