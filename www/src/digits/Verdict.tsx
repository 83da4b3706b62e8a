import { percent } from '../page/format';
import { readingWords } from './digit-words';
import type { Judged } from './useJudged';

/** The judge's reading as a sentence. It is marked busy during a stroke, when it changes too often for a screen reader. */
export function Verdict({ judged }: { judged: Judged | null }) {
  return (
    <p role="status" aria-busy={judged !== null && !judged.lifted}>
      {judged ? (
        <>
          <strong>{readingWords(judged.reading)}</strong> <span>{percent(judged.reading.probability)} sure</span>
        </>
      ) : (
        'Draw a digit from 0 to 9: the judge reads it as you draw.'
      )}
    </p>
  );
}
