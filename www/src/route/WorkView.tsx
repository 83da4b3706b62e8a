import { shareDone, workWords } from './route-words';
import type { Work } from './useLearner';

interface Props {
  /** The name of the progress bar. */
  label: string;
  work: Work | null;
  /** The text beside the bar while no work is under way. */
  idle: string;
}

/** The progress of work as a bar and in words. It keeps its place while there is none. */
export function WorkView({ label, work, idle }: Props) {
  const share = work ? shareDone(work) : 0;
  const words = work ? workWords(work) : idle;
  return (
    <div className="route-work">
      <div
        className="bar"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(share * 100)}
        aria-valuetext={words}
        data-idle={!work}
        aria-hidden={!work}
      >
        <span style={{ transform: `translateX(${(share - 1) * 100}%)` }} />
      </div>
      <p>{words}</p>
      <p className="unseen" role="status">
        {work ? `${label}: ${Math.min(3, Math.floor(share * 4)) * 25} percent` : idle}
      </p>
    </div>
  );
}
