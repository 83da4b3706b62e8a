import { type Detection, DetectionHistory, type DetectionRecord } from 'pilotlight';
import { useCallback, useEffect, useState } from 'react';
import { reasonOf } from '../engine/problem';
import { downloadJson } from '../page/download';

/** The visitor's settings: whether verdicts and texts are kept. */
export interface Keeping {
  verdicts: boolean;
  texts: boolean;
}

const KEY = 'pilotlight-detect-history';
const OFF: Keeping = { verdicts: false, texts: false };
const history = new DetectionHistory();

/** Returns the settings of an earlier visit; null if there are none. */
function rememberedKeeping(): Keeping | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Keeping> | null;
    return kept && { verdicts: kept.verdicts === true, texts: kept.texts === true };
  } catch {
    return null;
  }
}

/** The verdicts that are kept on this device: none, unless the visitor asks for it. */
export function useHistory(shown: boolean) {
  const [keeping, setKeeping] = useState(rememberedKeeping);
  const [records, setRecords] = useState<readonly DetectionRecord[]>([]);
  const [problem, setProblem] = useState<string | null>(null);

  /** Does something with the history, and reads it again. */
  const change = useCallback(async (action?: () => Promise<unknown>): Promise<void> => {
    try {
      await action?.();
      setRecords(await history.list());
      setProblem(null);
    } catch (error) {
      setProblem(reasonOf(error));
    }
  }, []);

  const everKept = keeping !== null;
  useEffect(() => {
    if (shown && everKept) void change();
  }, [shown, everKept, change]);

  function keep(next: Keeping) {
    setKeeping(next);
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      // Storage is blocked, so the choice holds for this visit alone.
    }
  }

  return {
    keeping: keeping ?? OFF,
    keep,
    records,
    problem,
    add: async (text: string, detection: Detection) => {
      if (keeping?.verdicts) await change(() => history.add(text, detection, { keepText: keeping.texts }));
    },
    remove: (id: string) => change(() => history.delete(id)),
    clear: () => change(() => history.clear()),
    save: () => change(async () => downloadJson('detections.json', await history.export())),
  };
}
