import { type FormEvent, useRef } from 'react';
import { count } from '../page/format';
import { examples } from './examples';
import type { JudgeState } from './useJudge';
import { WorkBar } from './WorkBar';

interface Props {
  text: string;
  onText: (text: string) => void;
  judge: JudgeState & { stop: () => void };
  ready: boolean;
  onJudge: () => void;
}

/** The panel that takes the text. */
export function TextPanel({ text, onText, judge, ready, onJudge }: Props) {
  const { work, judged, problem, wasStopped } = judge;
  const submit = useRef<HTMLButtonElement>(null);
  const can = ready && !work && text.trim() !== '';

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    if (can) onJudge();
  }

  function stop() {
    // The button that stops goes away, and the focus with it.
    submit.current?.focus();
    judge.stop();
  }

  return (
    <section className="card detect-panel" aria-labelledby="detect-text-title">
      <h2 id="detect-text-title">The text</h2>
      <form className="detect-form" onSubmit={onSubmit}>
        <textarea
          id="detect-text"
          aria-labelledby="detect-text-title"
          aria-describedby="detect-text-words"
          rows={11}
          placeholder="Paste a text in English, a few paragraphs or more"
          value={text}
          onChange={(event) => onText(event.target.value)}
        />
        <p id="detect-text-words" className="detect-words">
          {lengthWords(text)}
        </p>
        <div className="suggestions">
          {examples.map((example) => (
            <button key={example.label} type="button" onClick={() => onText(example.text)}>
              {example.label}
            </button>
          ))}
        </div>
        <div className="detect-foot">
          <button ref={submit} type="submit" className="button primary" aria-disabled={!can}>
            Judge the text
          </button>
          {work && (
            <button type="button" className="button" onClick={stop}>
              Cancel
            </button>
          )}
          {work ? (
            <WorkBar label="Reading the text" progress={work.progress} />
          ) : (
            <p className="detect-words" role="status">
              {footWords(ready, wasStopped, judged !== null && judged.text !== text)}
            </p>
          )}
        </div>
      </form>
      {problem && (
        <p className="notice" role="alert">
          <strong>{problem.title}</strong> <span>{problem.detail}</span>
        </p>
      )}
    </section>
  );
}

function lengthWords(text: string): string {
  const words = text.split(/\s+/).filter(Boolean).length;
  if (words === 0) return 'A text can be judged from 100 tokens on, which are about 75 words.';
  return `${count(words, 'word')}. From about 75 words on a text can be judged; more say more.`;
}

function footWords(ready: boolean, wasStopped: boolean, isOther: boolean): string {
  if (!ready) return 'The model has to be loaded first.';
  if (wasStopped) return 'Cancelled.';
  return isOther ? 'The text has changed since it was judged.' : '';
}
