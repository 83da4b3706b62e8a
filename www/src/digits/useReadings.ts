import type { Digits } from 'pilotlight';
import type { Reading } from 'pilotlight/judge';
import { useEffect, useState } from 'react';
import type { Studio } from './studio';

interface Read {
  of: Digits;
  readings: Reading[];
  error: unknown;
}

/** The judge's readings of finished digits; null until they are there. */
export function useReadings(
  studio: Studio | null,
  digits: Digits | null,
): { readings: Reading[] | null; error: unknown } {
  const [read, setRead] = useState<Read | null>(null);

  useEffect(() => {
    if (!studio || !digits) return;
    const controller = new AbortController();
    const { signal } = controller;
    studio.read(digits.data, signal).then(
      (readings) => !signal.aborted && setRead({ of: digits, readings, error: null }),
      (error: unknown) => !signal.aborted && setRead({ of: digits, readings: [], error }),
    );
    return () => controller.abort();
  }, [studio, digits]);

  if (!read || read.of !== digits) return { readings: null, error: null };
  return { readings: read.error ? null : read.readings, error: read.error };
}
