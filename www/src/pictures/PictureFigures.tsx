import { count, milliseconds } from '../page/format';
import type { Picture } from './library';
import type { Intake } from './useIntake';
import type { Found } from './usePictureSearch';

interface Props {
  pictures: readonly Picture[];
  intake: Intake;
  found: Found | null;
}

/** What the last calls took. */
export function PictureFigures({ pictures, intake: { ms, seen }, found }: Props) {
  const values = pictures[0]?.vector.length ?? 0;
  return (
    <dl className="figures" aria-label="Time per call">
      <div>
        <dt>Per picture</dt>
        <dd>{seen > 0 ? milliseconds(ms / seen) : '–'}</dd>
        <dd className="figures-note">{seen > 0 ? `of ${count(seen, 'picture')}` : 'none added yet'}</dd>
      </div>
      <div>
        <dt>Words</dt>
        <dd>{found && found.wordsMs > 0 ? milliseconds(found.wordsMs) : '–'}</dd>
        <dd className="figures-note">through the model</dd>
      </div>
      <div>
        <dt>Search</dt>
        <dd>{found ? milliseconds(found.searchMs) : '–'}</dd>
        <dd className="figures-note">
          {values > 0 ? `${pictures.length.toLocaleString('en')} × ${values} values` : 'through all vectors'}
        </dd>
      </div>
    </dl>
  );
}
