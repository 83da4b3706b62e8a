import { useEffect, useState } from 'react';

/** A value as it was a moment after its last change; one that is empty counts at once. */
export function useDelayed(value: string, pause: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), value ? pause : 0);
    return () => clearTimeout(timer);
  }, [value, pause]);
  return settled;
}
