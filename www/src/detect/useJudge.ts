import type { Calibration, Detection, DetectorProgress, TextDetector } from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { isFatal } from '../engine/problem';
import { failureWords } from './detect-words';

/** A text with its detection. */
export interface Judged {
  text: string;
  detection: Detection;
  /** The thresholds of the verdict. */
  thresholds: TextDetector['thresholds'];
  ms: number;
}

export interface JudgeState {
  /** The progress of reading a text; null if none is being read. */
  work: { progress: DetectorProgress | null } | null;
  judged: Judged | null;
  problem: { title: string; detail: string } | null;
  wasStopped: boolean;
}

const NOTHING: JudgeState = { work: null, judged: null, problem: null, wasStopped: false };

/** Judges one text at a time. The last one is judged anew by another detector or another threshold. */
export function useJudge(
  detector: TextDetector | null,
  calibration: Calibration | null,
  onFail: (error: unknown) => void,
) {
  const [state, setState] = useState(NOTHING);
  const running = useRef<AbortController | null>(null);
  const last = useRef<Judged | null>(null);

  const judge = useCallback(
    async (text: string): Promise<Judged | null> => {
      if (!detector) return null;
      running.current?.abort();
      const controller = new AbortController();
      const { signal } = controller;
      running.current = controller;
      const started = performance.now();
      const isMine = () => running.current === controller;
      setState((before) => ({ ...before, work: { progress: null }, problem: null, wasStopped: false }));
      try {
        const onProgress = (progress: DetectorProgress) =>
          isMine() && setState((before) => ({ ...before, work: { progress } }));
        const detection = await detector.detect(text, { signal, onProgress });
        const judged = { text, detection, thresholds: detector.thresholds, ms: performance.now() - started };
        if (!isMine()) return null;
        last.current = judged;
        setState({ ...NOTHING, judged });
        return judged;
      } catch (error) {
        if (!isMine()) return null;
        const isBroken = !signal.aborted && isFatal(error);
        const problem = signal.aborted || isBroken ? null : failureWords(error, 'read this text');
        setState((before) => ({ ...before, work: null, problem, wasStopped: signal.aborted }));
        if (isBroken) onFail(error);
        return null;
      }
    },
    [detector, onFail],
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: `calibration` tells that the threshold is another one
  useEffect(() => {
    if (detector && last.current) void judge(last.current.text);
    return () => {
      // A result of the former detector must not be shown.
      const before = running.current;
      running.current = null;
      before?.abort();
      setState((state) => ({ ...state, work: null }));
    };
  }, [judge, calibration]);

  return { ...state, judge, stop: useCallback(() => running.current?.abort(), []) };
}
