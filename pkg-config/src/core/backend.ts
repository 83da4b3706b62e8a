import type { AdapterReport, BackendReport, Device, Dtype, LoadOptions } from '../../types/index.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { findAdapter } from './adapter.js';
import type { Core } from './core.js';
import type { CoreInstance } from './instance.js';

/** The cores of a runtime. */
export interface Cores {
  /** The runtime's name, which `diagnose` reports. */
  runtime: 'web' | 'workerd' | 'edge-light' | 'inline';
  cpu: Core;
  /** The core with WebGPU code; absent in the entries for runtimes without it. */
  webgpu?: Core;
}

/** The core instance that a model is going to run on, and the report about the choice. */
export interface Backend {
  instance: CoreInstance;
  report: Omit<BackendReport, 'worker'>;
}

const DEVICES: readonly Device[] = ['auto', 'cpu', 'webgpu'];
const DTYPES: readonly Dtype[] = ['f32', 'q8', 'q4'];

/** Chooses the device that `options` ask for, or the CPU with the reason why that one cannot be used. */
export async function chooseBackend(cores: Cores, options: LoadOptions): Promise<Backend> {
  const device = oneOf('device', DEVICES, options.device ?? 'auto');
  const dtype = oneOf('dtype', DTYPES, options.dtype ?? 'q8');
  if (device === 'cpu') return onCpu(cores, dtype, 'The CPU was asked for.');
  const found = await tryWebGpu(cores, dtype, device === 'auto');
  return typeof found === 'string' ? onCpu(cores, dtype, `The CPU was taken because ${found}.`) : found;
}

async function onCpu({ cpu }: Cores, dtype: Dtype, reason: string): Promise<Backend> {
  const instance = await cpu.instance();
  const { simd } = await instance.run(({ coreInfo }) => coreInfo());
  return { instance, report: { device: 'cpu', dtype, simd, reason } };
}

/** Chooses WebGPU if it works and, with `onlyIfFaster`, is faster than the CPU; else returns a clause that says why not. */
async function tryWebGpu({ webgpu }: Cores, dtype: Dtype, onlyIfFaster: boolean): Promise<Backend | string> {
  if (!webgpu) return 'this entry of the package carries no WebGPU code';
  const adapter = await findAdapter();
  if (typeof adapter === 'string') return adapter;
  if (onlyIfFaster && adapter.software) return `the only WebGPU adapter is a software one (${nameOf(adapter)})`;
  try {
    const instance = await webgpu.instance();
    const { cpuMs, gpuMs, maxAbsError } = await instance.gpu(dtype);
    const times = `a timed probe in ${dtype} took ${gpuMs.toFixed(1)} ms on it and ${cpuMs.toFixed(1)} ms on the CPU`;
    if (onlyIfFaster && !(gpuMs < cpuMs)) return `the GPU (${nameOf(adapter)}) is no faster: ${times}`;
    const { simd } = await instance.run(({ coreInfo }) => coreInfo());
    const why = onlyIfFaster ? times : 'it was asked for';
    const reason = `WebGPU was taken because ${why}; its self-test agrees with the CPU to ${maxAbsError.toExponential(1)}.`;
    return { instance, report: { device: 'webgpu', dtype, simd, reason, adapter } };
  } catch (error) {
    return `WebGPU could not be used (${toPilotlightError(error).message})`;
  }
}

function nameOf({ description, vendor, architecture }: AdapterReport): string {
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
