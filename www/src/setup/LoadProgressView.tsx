import { megabytes } from '../page/format';
import { type Loading, progressWords, shareLoaded } from './progress-words';

interface Props {
  state: Loading;
  onCancel: () => void;
}

/** The progress of a load as a bar and in words, with a button that cancels it. */
export function LoadProgressView({ state, onCancel }: Props) {
  const { progress } = state;
  const share = shareLoaded(progress);
  const percent = share === null ? null : Math.floor(share * 100);
  const { step, source } = progressWords(state);

  return (
    <div className="loading">
      <h2>{step}</h2>
      <div
        className="bar"
        role="progressbar"
        aria-label="Loading the model"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent ?? undefined}
        aria-valuetext={percent === null ? step : `${percent} percent, ${source}`}
        data-unknown={share === null}
      >
        <span style={share === null ? undefined : { transform: `translateX(${(share - 1) * 100}%)` }} />
      </div>
      <div className="loading-figures">
        <p>
          <strong>
            {progress && share !== null ? `${megabytes(progress.loaded)} of ${megabytes(progress.total)}` : '\u00a0'}
          </strong>
          <span>{source}</span>
        </p>
        <button type="button" className="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}
