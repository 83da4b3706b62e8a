import { useCallback, useEffect, useState } from 'react';

const HOLD_MS = 120;

/** Goes through `count` frames, by hand or as a film. */
export function usePlayback(count: number) {
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const last = count - 1;

  useEffect(() => {
    if (!playing) return;
    if (at >= last) return setPlaying(false);
    const timer = setTimeout(() => setAt(at + 1), HOLD_MS);
    return () => clearTimeout(timer);
  }, [playing, at, last]);

  /** Goes to a frame and stops there. */
  const go = useCallback((to: number) => {
    setPlaying(false);
    setAt(to);
  }, []);

  /** Starts or stops the film, which starts at the beginning where it has come to its end. */
  const toggle = useCallback(() => {
    if (!playing && at >= last) setAt(0);
    setPlaying(!playing);
  }, [playing, at, last]);

  return { at, playing, go, toggle };
}
