import type { BackendReport, Dtype } from 'pilotlight';
import type { Choice } from './choice';

/** The name of each weight format on the page. */
export const WEIGHTS: Record<Dtype, string> = {
  q8: '8-bit weights',
  q4: '4-bit weights',
  f16: '16-bit weights',
  f32: '32-bit weights',
};

/** Says in a sentence on what the model runs and with which weights. */
export function backendWords({ device, dtype, simd, adapter }: BackendReport): string {
  const weights = WEIGHTS[dtype];
  if (device === 'cpu')
    return `Runs on the CPU with ${simd === 'relaxed-simd' ? 'relaxed' : '128-bit'} SIMD and ${weights}.`;
  const names = [adapter?.vendor, adapter?.architecture, adapter?.description].filter(Boolean);
  const name = adapter?.software ? 'a software adapter' : names.length > 0 ? names.join(' ') : 'the GPU';
  return `Runs on WebGPU (${name}) with ${weights}.`;
}

/** Whether the visitor asked for the GPU and got the CPU. */
export function fellBack(choice: Choice, report: BackendReport): boolean {
  return choice.device === 'webgpu' && report.device === 'cpu';
}
