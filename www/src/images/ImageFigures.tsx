import { count, milliseconds } from '../page/format';
import type { LibraryImage } from './library';
import type { Found } from './useImageSearch';
import type { Intake } from './useIntake';

interface Props {
  images: readonly LibraryImage[];
  intake: Intake;
  found: Found | null;
}

/** The times that the last calls of the model and the index took. */
export function ImageFigures({ images, intake: { ms, seen }, found }: Props) {
  const values = images[0]?.vector.length ?? 0;
  return (
    <dl className="figures" aria-label="Time per call">
      <div>
        <dt>Per image</dt>
        <dd>{seen > 0 ? milliseconds(ms / seen) : '–'}</dd>
        <dd className="figures-note">{seen > 0 ? `of ${count(seen, 'image')}` : 'none added yet'}</dd>
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
          {values > 0 ? `${images.length.toLocaleString('en')} × ${values} values` : 'through all vectors'}
        </dd>
      </div>
    </dl>
  );
}
