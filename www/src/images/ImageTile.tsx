import { type KeyboardEvent, memo } from 'react';
import type { LibraryImage } from './library';

interface Props {
  image: LibraryImage;
  /** The cosine with what is searched for; null without a search. */
  score: number | null;
  /** The length of the score's bar, 0 to 1. */
  share: number;
  /** The position of the image in the grid. */
  stop: number;
  tabbable: boolean;
  active: boolean;
  onStop: (stop: number) => void;
  onActive: (id: string | null) => void;
  onOpen: (image: LibraryImage) => void;
}

/** An image of the grid, with its score during a search. */
export const ImageTile = memo(function ImageTile({
  image,
  score,
  share,
  stop,
  tabbable,
  active,
  onStop,
  onActive,
  onOpen,
}: Props) {
  function onFocus() {
    onStop(stop);
    onActive(image.id);
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onOpen(image);
  }
  return (
    <div
      className="tile"
      role="option"
      aria-selected={active}
      aria-label={score === null ? image.name : `${image.name}, score ${score.toFixed(2)}`}
      title={image.name}
      tabIndex={tabbable ? 0 : -1}
      data-active={active}
      onFocus={onFocus}
      onBlur={() => onActive(null)}
      onPointerEnter={() => onActive(image.id)}
      onPointerLeave={() => onActive(null)}
      onClick={() => onOpen(image)}
      onKeyDown={onKeyDown}
    >
      <img src={image.url} alt="" width={160} height={160} decoding="async" draggable={false} />
      {score !== null && (
        <span className="tile-score">
          <span className="tile-bar">
            <span style={{ transform: `translateX(${(share - 1) * 100}%)` }} />
          </span>
          {score.toFixed(2)}
        </span>
      )}
    </div>
  );
});
