import { useCallback, useRef, useState } from 'react';
import { reasonOf } from '../engine/problem';
import { bankingAddress, bankingTrials, FEW, fetchBanking, firstOfEach } from './banking';
import type { Example } from './delimited';
import { intents, intentTrials } from './intents';
import { type Change, type Row, rowsOf } from './rows';

/** The name of a set of examples: of this page, of banking77, of the visitor, or of a file that was opened. */
export type SetName = 'intents' | 'banking-few' | 'banking-all' | 'own' | 'file';

/** The sets of examples. Each keeps what the visitor changed in it while another one is shown. */
export interface Examples {
  set: SetName;
  rows: readonly Row[];
  /** Requests with which the set can be tried. */
  trials: readonly string[];
  available: ReadonlySet<SetName>;
  /** The state of the fetch of a set; `reason` is a sentence on its failure. */
  fetching: { status: 'idle' | 'busy' } | { status: 'failed'; set: SetName; reason: string };
  choose: (set: SetName) => void;
  /** Changes the rows of the set that is shown. */
  change: (change: Change) => void;
  /** Shows the examples of a file, as a set of their own. */
  open: (examples: readonly Example[]) => readonly Row[];
}

const TRIALS: Record<SetName, readonly string[]> = {
  intents: intentTrials,
  'banking-few': bankingTrials,
  'banking-all': bankingTrials,
  own: [],
  file: [],
};

/** Rows for a visitor to begin with. */
const BLANK = [1, 2, 3].map(() => ({ text: '', label: '' }));

interface Sets {
  shown: SetName;
  rows: Partial<Record<SetName, readonly Row[]>>;
}

/** The examples that the visitor sees and edits. */
export function useExamples(): Examples {
  const [sets, setSets] = useState<Sets>(() => ({
    shown: 'intents',
    rows: { intents: rowsOf(intents), own: rowsOf(BLANK) },
  }));
  const [fetching, setFetching] = useState<Examples['fetching']>({ status: 'idle' });
  const wanted = useRef<SetName>('intents');
  const address = bankingAddress();

  async function choose(set: SetName) {
    wanted.current = set;
    setFetching({ status: 'idle' });
    if (sets.rows[set]) return setSets((last) => ({ ...last, shown: set }));
    if (!address) return;
    setFetching({ status: 'busy' });
    try {
      const all = await fetchBanking(address);
      const rows = rowsOf(set === 'banking-few' ? firstOfEach(all, FEW) : all);
      setSets((last) => ({
        shown: wanted.current === set ? set : last.shown,
        rows: { ...last.rows, [set]: rows },
      }));
      if (wanted.current === set) setFetching({ status: 'idle' });
    } catch (error) {
      if (wanted.current === set) setFetching({ status: 'failed', set, reason: reasonOf(error) });
    }
  }

  const change = useCallback((change: Change) => {
    setSets((last) => ({ ...last, rows: { ...last.rows, [last.shown]: change(last.rows[last.shown] ?? []) } }));
  }, []);

  const open = useCallback((examples: readonly Example[]) => {
    wanted.current = 'file';
    const file = rowsOf(examples);
    setSets((last) => ({ shown: 'file', rows: { ...last.rows, file } }));
    setFetching({ status: 'idle' });
    return file;
  }, []);

  return {
    set: sets.shown,
    rows: sets.rows[sets.shown] ?? [],
    trials: TRIALS[sets.shown],
    available: new Set<SetName>([
      'intents',
      ...(address ? (['banking-few', 'banking-all'] as const) : []),
      'own',
      ...(sets.rows.file ? (['file'] as const) : []),
    ]),
    fetching,
    choose: (set) => void choose(set),
    change,
    open,
  };
}
