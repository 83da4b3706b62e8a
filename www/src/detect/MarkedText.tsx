import type { ReactNode } from 'react';
import { MARKS, markOf, signed } from './detect-words';
import type { Judged } from './useJudge';

/** The text that was judged, with a mark on each sentence that moved the score. */
export function MarkedText({ judged }: { judged: Judged | null }) {
  const sentences = judged?.detection.sentences ?? [];
  return (
    <section className="card detect-panel detect-marked" aria-labelledby="detect-marked-title">
      <div>
        <h2 id="detect-marked-title">What each sentence adds</h2>
        <p className="detect-words">
          A mark says how much the score changes with the sentence. It is no verdict on it: a sentence is far too short
          for one.
        </p>
      </div>
      {judged && sentences.length > 0 ? (
        <>
          <Key />
          <p className="detect-read">{marked(judged)}</p>
          <details>
            <summary>The marks as a table</summary>
            <table>
              <thead>
                <tr>
                  <th scope="col">Sentence</th>
                  <th scope="col">Adds</th>
                </tr>
              </thead>
              <tbody>
                {sentences.map(({ start, end, contribution }) => (
                  <tr key={start}>
                    <td>{judged.text.slice(start, end)}</td>
                    <td>{signed(contribution)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </details>
        </>
      ) : (
        <p className="detect-empty">{judged ? 'There is no sentence to mark.' : 'The marked text comes here.'}</p>
      )}
    </section>
  );
}

function Key() {
  return (
    <ul className="detect-key" aria-label="What the marks mean">
      {(['for-much', 'for', 'against', 'against-much'] as const).map((mark) => (
        <li key={mark}>
          <span className="detect-mark" data-mark={mark} aria-hidden="true">
            Abc
          </span>{' '}
          {MARKS[mark]}
        </li>
      ))}
    </ul>
  );
}

/** The text with its sentences marked; the text between and after them was not read as a sentence. */
function marked({ text, detection }: Judged): ReactNode[] {
  const parts: ReactNode[] = [];
  let at = 0;
  for (const { start, end, contribution } of detection.sentences) {
    parts.push(text.slice(at, start));
    const mark = markOf(contribution);
    const sentence = text.slice(start, end);
    parts.push(
      mark === 'none' ? (
        <span key={start}>{sentence}</span>
      ) : (
        <mark key={start} className="detect-mark" data-mark={mark}>
          {sentence}
          <span className="unseen"> ({MARKS[mark]}) </span>
        </mark>
      ),
    );
    at = end;
  }
  parts.push(
    <span key="rest" className="detect-unread">
      {text.slice(at)}
    </span>,
  );
  return parts;
}
