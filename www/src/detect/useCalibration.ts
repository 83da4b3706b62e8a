import type { Calibration, DetectorProgress, TextDetector } from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { isFatal } from '../engine/problem';
import { failureWords } from './detect-words';
import { keepHead } from './kept-head';

export interface CalibrationState {
  work: { progress: DetectorProgress | null } | null;
  /** The report on the threshold of the visitor's own texts; null while the package's threshold is used. */
  calibration: Calibration | null;
  problem: { title: string; detail: string } | null;
  wasStopped: boolean;
}

const NOTHING: CalibrationState = { work: null, calibration: null, problem: null, wasStopped: false };

/** Sets the detector's threshold by texts of the visitor, and keeps it for the next visit. */
export function useCalibration(detector: TextDetector | null, onFail: (error: unknown) => void) {
  const [state, setState] = useState(NOTHING);
  const running = useRef<AbortController | null>(null);

  useEffect(() => {
    // A threshold that an earlier visit kept came with the load.
    setState({ ...NOTHING, calibration: detector?.calibration ?? null });
    return () => {
      const before = running.current;
      running.current = null;
      before?.abort();
    };
  }, [detector]);

  async function calibrate(texts: readonly string[]): Promise<void> {
    if (!detector) return;
    const controller = new AbortController();
    const { signal } = controller;
    running.current = controller;
    const isMine = () => running.current === controller;
    setState((before) => ({ ...before, work: { progress: null }, problem: null, wasStopped: false }));
    try {
      const onProgress = (progress: DetectorProgress) =>
        isMine() && setState((before) => ({ ...before, work: { progress } }));
      const calibration = await detector.calibrate(texts, { signal, onProgress });
      if (!isMine()) return;
      keepHead(detector.toJSON());
      setState({ ...NOTHING, calibration });
    } catch (error) {
      if (!isMine()) return;
      const isBroken = !signal.aborted && isFatal(error);
      const problem = signal.aborted || isBroken ? null : failureWords(error, 'set a threshold by these texts');
      setState((before) => ({ ...before, work: null, problem, wasStopped: signal.aborted }));
      if (isBroken) onFail(error);
    }
  }

  return { ...state, calibrate, stop: useCallback(() => running.current?.abort(), []) };
}
