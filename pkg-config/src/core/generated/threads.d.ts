export * from './cpu.js';
export { default } from './cpu.js';

/** The memory of this core, which is shared. */
export declare function sharedMemory(): WebAssembly.Memory | undefined;

/** Sets how many threads share the work of a call: this one, and those that `help`. */
export declare function setThreads(count: number): void;

/** The number of parts of calls that other threads have computed. */
export declare function helpedParts(): number;

/** Computes for the thread that has the models. It never returns. */
export declare function help(): void;
