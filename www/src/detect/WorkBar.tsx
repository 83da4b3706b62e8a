import type { DetectorProgress } from 'pilotlight';

/** The progress of texts that are read, as a bar. */
export function WorkBar({ label, progress }: { label: string; progress: DetectorProgress | null }) {
  const share = progress && progress.total > 1 ? progress.loaded / progress.total : null;
  const percent = share === null ? undefined : Math.floor(share * 100);
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={progress ? `${progress.loaded} of ${progress.total} parts read` : label}
      data-unknown={share === null}
    >
      <span style={share === null ? undefined : { transform: `translateX(${(share - 1) * 100}%)` }} />
    </div>
  );
}
