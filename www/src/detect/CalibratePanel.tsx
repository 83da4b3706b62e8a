import { type ChangeEvent, useRef, useState } from 'react';
import { count } from '../page/format';
import { LEAST_TEXTS, LEAST_WORDS, shortOnes, TEXTS_FOR_ONE_PERCENT, textsIn } from './own-texts';
import type { CalibrationState } from './useCalibration';
import { WorkBar } from './WorkBar';

interface Props {
  ready: boolean;
  state: CalibrationState & { calibrate: (texts: readonly string[]) => Promise<void>; stop: () => void };
  /** Goes back to the threshold of the package. */
  onReset: () => void;
}

/** The panel that sets the threshold by texts of the visitor's own kind. */
export function CalibratePanel({ ready, state, onReset }: Props) {
  const { work, calibration, problem, wasStopped } = state;
  const [pasted, setPasted] = useState('');
  const [files, setFiles] = useState<readonly string[]>([]);
  const input = useRef<HTMLInputElement>(null);
  const start = useRef<HTMLButtonElement>(null);
  const texts = [...textsIn(pasted), ...files];
  const can = ready && !work && texts.length >= LEAST_TEXTS;

  async function onPick({ target }: ChangeEvent<HTMLInputElement>) {
    const read = await Promise.all([...(target.files ?? [])].map((file) => file.text()));
    setFiles((before) => [...before, ...read.map((text) => text.trim()).filter(Boolean)]);
    // Without this, the same file chosen again would make no event.
    target.value = '';
  }

  function away(action: () => void) {
    // The button of the action goes away, and the focus with it.
    start.current?.focus();
    action();
  }

  return (
    <section className="card detect-panel" aria-labelledby="detect-own-title">
      <div>
        <h2 id="detect-own-title">A threshold for your kind of text</h2>
        <p className="detect-words">
          Give it texts of your kind that people wrote for certain, such as older ones: {LEAST_TEXTS} at least,{' '}
          {TEXTS_FOR_ONE_PERCENT} to speak of 1 %; with fewer, no text is called a machine’s. They stay on this device
          and are not kept.
        </p>
      </div>
      <label className="field">
        <span>Texts, with an empty line between them (or lines of ---, if they have paragraphs)</span>
        <textarea rows={5} spellCheck={false} value={pasted} onChange={(event) => setPasted(event.target.value)} />
      </label>
      <div className="detect-foot">
        <button type="button" className="button" onClick={() => input.current?.click()}>
          Add files
        </button>
        <input ref={input} type="file" hidden multiple accept=".txt,.md,text/plain" onChange={(e) => void onPick(e)} />
        {files.length > 0 && (
          <button type="button" className="button" onClick={() => away(() => setFiles([]))}>
            Take {count(files.length, 'file')} out
          </button>
        )}
      </div>
      <p className="detect-words" role="status">
        {work ? '' : supplyWords(texts)}
      </p>
      <div className="detect-foot">
        <button
          ref={start}
          type="button"
          className="button"
          aria-disabled={!can}
          onClick={() => can && void state.calibrate(texts)}
        >
          Set the threshold
        </button>
        {work && (
          <button type="button" className="button" onClick={() => away(state.stop)}>
            Cancel
          </button>
        )}
        {work && <WorkBar label="Reading your texts" progress={work.progress} />}
        {calibration && !work && (
          <button type="button" className="button" onClick={() => away(onReset)}>
            Use the package’s threshold
          </button>
        )}
      </div>
      <p className="notice" role="status" hidden={!calibration && !wasStopped}>
        {wasStopped
          ? 'Cancelled: the threshold is as before.'
          : calibration && `${calibration.sentence} This is what verdicts go by now, also on the next visit.`}
      </p>
      {problem && (
        <p className="notice" role="alert">
          <strong>{problem.title}</strong> <span>{problem.detail}</span>
        </p>
      )}
    </section>
  );
}

/** Says how many texts there are, what is missing, and what their number supports. */
function supplyWords(texts: readonly string[]): string {
  const had = count(texts.length, 'text');
  const short = shortOnes(texts);
  const notes =
    short > 0
      ? ` ${short} of them ${short === 1 ? 'has' : 'have'} under ${LEAST_WORDS} words, likely too short to count.`
      : '';
  const missing = LEAST_TEXTS - texts.length;
  if (missing > 0) return `${had}: ${missing} ${missing === 1 ? 'is' : 'are'} missing to ${LEAST_TEXTS}.${notes}`;
  const rest = TEXTS_FOR_ONE_PERCENT - texts.length;
  const supports = `about 1 false alarm in ${texts.length + 1} texts of this kind can be promised, no fewer`;
  return rest > 0
    ? `${had}: ${supports}. ${rest} ${rest === 1 ? 'is' : 'are'} missing to speak of 1 %.${notes}`
    : `${had}: enough to speak of 1 %.${notes}`;
}
