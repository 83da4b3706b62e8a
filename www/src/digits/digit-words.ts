import type { BackendReport } from 'pilotlight';
import type { Reading } from 'pilotlight/judge';

const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'] as const;

export const ALL_DIGITS = NAMES.map((_, digit) => digit);

/** Says in a sentence which digit the judge reads, and how sure it is. */
export function readingWords({ digit, probability }: Reading): string {
  const name = `${digit === 8 ? 'an' : 'a'} ${NAMES[digit] ?? digit}`;
  if (probability >= 0.9) return `This is ${name}.`;
  return probability >= 0.5 ? `This looks like ${name}.` : `Hard to tell: perhaps ${name}.`;
}

/** Names the device that computes, and what is special about it. */
export function runsOn({ device, simd, adapter }: BackendReport): [string, string] {
  if (device === 'cpu') return ['CPU', simd === 'relaxed-simd' ? 'relaxed SIMD' : '128-bit SIMD'];
  return [
    'WebGPU',
    adapter?.software
      ? 'a software adapter'
      : adapter?.description || [adapter?.vendor, adapter?.architecture].filter(Boolean).join(' ') || 'the GPU',
  ];
}
