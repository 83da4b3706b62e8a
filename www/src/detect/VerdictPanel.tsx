import { count, milliseconds } from '../page/format';
import { HINT, reasonsOf, SIDES, share, VERDICTS, verdictWords } from './detect-words';
import { ScoreScale } from './ScoreScale';
import type { Judged } from './useJudge';

/** The verdict on a text, with the reasons for and against it, and the warning that is always shown. */
export function VerdictPanel({ judged, reading }: { judged: Judged | null; reading: boolean }) {
  const verdict = judged?.detection.verdict;
  return (
    <section className="card detect-panel detect-verdict" aria-labelledby="detect-verdict-title" aria-busy={reading}>
      <h2 id="detect-verdict-title">The verdict</h2>
      <p className="unseen" role="status">
        {judged && !reading ? verdictWords(judged.detection) : ''}
      </p>
      <div className="detect-answer" data-verdict={verdict}>
        {verdict ? (
          <>
            <p className="detect-title">
              <Sign /> <strong>{VERDICTS[verdict].title}</strong>
            </p>
            <p>{VERDICTS[verdict].words}</p>
          </>
        ) : (
          <p>The verdict comes here: a sign of a machine, no sign, or uncertain.</p>
        )}
        <p className="detect-hint">{HINT}</p>
      </div>
      {judged && <Evidence judged={judged} />}
    </section>
  );
}

/** A ring whose fill depends on the verdict, which the words beside it name. */
function Sign() {
  return (
    <svg className="detect-sign" viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="10" r="8" />
      <path d="M10 2a8 8 0 0 1 0 16z" />
      <circle className="detect-sign-full" cx="10" cy="10" r="8" />
    </svg>
  );
}

function Evidence({ judged }: { judged: Judged }) {
  const { detection, thresholds, ms } = judged;
  const { tokens, probability, head } = detection;
  const score = scoreThatCounts(judged);
  return (
    <>
      {score !== null && thresholds && <ScoreScale score={score} thresholds={thresholds} />}
      {(['limit', 'for', 'against'] as const).map((side) => {
        const sentences = reasonsOf(detection, side);
        return (
          sentences.length > 0 && (
            <div key={side} className="detect-reasons" data-side={side}>
              <h3>{SIDES[side]}</h3>
              <ul>
                {sentences.map((sentence) => (
                  <li key={sentence}>{sentence}</li>
                ))}
              </ul>
            </div>
          )
        );
      })}
      <p className="detect-fine">
        {count(tokens, 'token')} read in {milliseconds(ms)}, head {head}.
        {probability !== null &&
          ` Of the texts of the fit with such a score, ${share(probability)} were a machine’s; half of all of them were, so this is not the probability that your text is.`}
      </p>
    </>
  );
}

/** The score, if the verdict depends on it; null if the text is too short, unlike the texts of the fit or not English. */
function scoreThatCounts({ detection: { score, verdict, reasons }, thresholds }: Judged): number | null {
  if (score === undefined || !thresholds) return null;
  // A text that cannot be judged has no reasons for or against.
  const isJudged = verdict !== 'uncertain' || reasons.some(({ side }) => side !== 'limit');
  return isJudged ? score : null;
}
