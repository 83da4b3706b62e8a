import type { AdapterReport, BackendReport, Device, Dtype, LoadOptions } from '../../types/index.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { findAdapter, type GivenGpu } from './adapter.js';
import type { Core } from './core.js';
import type { CoreInstance } from './instance.js';
import type { SharedCore } from './shared-core.js';

/** The cores of a runtime. */
export interface Cores {
  /** The runtime's name, which `diagnose` reports. */
  runtime: 'web' | 'workerd' | 'edge-light' | 'inline';
  cpu: Core;
  /** The core with WebGPU code; absent in the entries for runtimes without it. */
  webgpu?: Core;
  /** Finds the GPU in a runtime that is no browser, or says in a clause why there is none. `isAsked` is false for a device of `'auto'`. */
  gpu?(isAsked: boolean): Promise<GivenGpu | string>;
  /** The core with threads, which workers of pages alone have. */
  threads?: SharedCore;
}

/** The threads that a CPU core may have, and the start of it with them. */
export interface Threads {
  count: number;
  start(): Promise<CoreInstance>;
}

/** The report about a choice of the device, to which the load of a model adds. */
export interface ChoiceReport extends BackendReport {
  /** Whether the device is WebGPU, and was asked for by `'auto'`: then a load takes it only if the model is faster on it than on the CPU. */
  isCompared?: true;
}

/** The core instance that a model is going to run on, and the report about the choice. */
export interface Backend {
  instance: CoreInstance;
  report: Omit<ChoiceReport, 'worker'>;
}

/** The reason for the CPU where the options ask for it. */
export const CPU_ASKED = 'The CPU was asked for.';

/** The reason for WebGPU where a load is still to compare it with the CPU. */
export const TO_BE_COMPARED = 'WebGPU was found, and a load takes it if the model is faster on it than on the CPU.';

const DEVICES: readonly Device[] = ['auto', 'cpu', 'webgpu'];
const DTYPES: readonly Dtype[] = ['f32', 'f16', 'q8', 'q4'];

/**
 * Chooses the device that `options` ask for, or the CPU with the reason why that one cannot be used. The CPU computes with `threads` where they are
 * given and can be started.
 */
export async function chooseBackend(cores: Cores, options: LoadOptions, threads?: Threads): Promise<Backend> {
  const device = oneOf('device', DEVICES, options.device ?? 'auto');
  const dtype = oneOf('dtype', DTYPES, options.dtype ?? 'q8');
  const onCpu = (reason: string): Promise<Backend> => startCpu(cores, dtype, reason, threads);
  if (device === 'cpu') return onCpu(CPU_ASKED);
  const found = await tryWebGpu(cores, dtype, device === 'auto');
  return typeof found === 'string' ? onCpu(`The CPU was taken because ${found}.`) : found;
}

async function startCpu({ cpu }: Cores, dtype: Dtype, reason: string, threads: Threads | undefined): Promise<Backend> {
  if (threads) {
    const { count } = threads;
    try {
      const instance = await threads.start();
      return describe(instance, dtype, count > 1 ? `${reason} It computes with ${count} threads.` : reason, count);
    } catch (error) {
      // Where a file is missing or an engine refuses it, the core without threads does the same.
      const why = toPilotlightError(error).message.replace(/\.$/, '');
      return describe(await cpu.instance(), dtype, `${reason} It computes with one thread because ${why}.`, 1);
    }
  }
  return describe(await cpu.instance(), dtype, reason, 1);
}

async function describe(instance: CoreInstance, dtype: Dtype, reason: string, threads: number): Promise<Backend> {
  const { simd, products } = await instance.run(({ coreInfo }) => coreInfo());
  return { instance, report: { device: 'cpu', dtype, simd, products, threads, reason, restarts: 0 } };
}

/**
 * Chooses WebGPU if it can be opened and, with `isCompared`, is no software adapter, which would be slower than the CPU; else returns a clause that says
 * why not. A load tests it, and compares it. Where the GPU fails meanwhile, it is opened once more; `failure` is then the first one.
 */
async function tryWebGpu(
  cores: Cores,
  dtype: Dtype,
  isCompared: boolean,
  failure?: PilotlightError,
): Promise<Backend | string> {
  const { webgpu, gpu } = cores;
  if (!webgpu) return 'this entry of the package carries no WebGPU code';
  const given = await gpu?.(!isCompared);
  if (typeof given === 'string') return given;
  const adapter = await findAdapter(given?.gpu);
  if (typeof adapter === 'string') return adapter;
  if (isCompared && adapter.software) return `the only WebGPU adapter is a software one (${nameOf(adapter)})`;
  let instance: CoreInstance | undefined;
  try {
    instance = await webgpu.instance();
    if (given) instance.glue.giveGpu?.(given.gpu, given.classes);
    await instance.openGpu();
    const { simd } = await instance.run(({ coreInfo }) => coreInfo());
    const taken = isCompared ? TO_BE_COMPARED : 'WebGPU was taken because it was asked for.';
    const reason = failure ? `${taken} It was opened again because ${clauseOf(failure)}.` : taken;
    const restarts = failure ? 1 : 0;
    const report = { device: 'webgpu' as const, dtype, simd, threads: 1, reason, restarts, adapter };
    return { instance, report: isCompared ? { ...report, isCompared } : report };
  } catch (error) {
    if (instance?.gone && !failure) return tryWebGpu(cores, dtype, isCompared, instance.gone);
    return `WebGPU could not be used (${toPilotlightError(error).message})`;
  }
}

/** The reason of a failure as a part of a sentence. */
export const clauseOf = ({ message }: PilotlightError): string =>
  (message.split('\n')[0] ?? '').replace(/(; load again)?\.?$/, '');

/** The name of an adapter, for messages. */
export function nameOf(adapter: AdapterReport | undefined): string {
  const { description, vendor, architecture } = adapter ?? {};
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed';
}

function oneOf<T extends string>(option: string, allowed: readonly T[], value: unknown): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found) return found;
  const got = typeof value === 'string' ? `'${value}'` : String(value);
  throw new PilotlightError(
    'INVALID_INPUT',
    `${option}: expected ${allowed.map((name) => `'${name}'`).join(', ')}, got ${got}`,
  );
}
