import { type KeyboardEvent, memo } from 'react';
import type { Picture } from './library';

interface Props {
  picture: Picture;
  /** Cosine; null without a search. `share`: how long its bar is, 0 to 1. */
  score: number | null;
  share: number;
  /** Its place in the grid. */
  stop: number;
  tabbable: boolean;
  active: boolean;
  onStop: (stop: number) => void;
  onActive: (id: string | null) => void;
  onOpen: (picture: Picture) => void;
}

export const PictureTile = memo(function PictureTile({
  picture,
  score,
  share,
  stop,
  tabbable,
  active,
  onStop,
  onActive,
  onOpen,
}: Props) {
  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onOpen(picture);
  }
  return (
    <li
      className="tile"
      role="option"
      aria-selected={active}
      aria-label={score === null ? picture.name : `${picture.name}, score ${score.toFixed(2)}`}
      title={picture.name}
      tabIndex={tabbable ? 0 : -1}
      data-active={active}
      onFocus={() => (onStop(stop), onActive(picture.id))}
      onBlur={() => onActive(null)}
      onPointerEnter={() => onActive(picture.id)}
      onPointerLeave={() => onActive(null)}
      onClick={() => onOpen(picture)}
      onKeyDown={onKeyDown}
    >
      <img src={picture.url} alt="" width={160} height={160} decoding="async" draggable={false} />
      {score !== null && (
        <span className="tile-score">
          <span className="tile-bar">
            <span style={{ transform: `translateX(${(share - 1) * 100}%)` }} />
          </span>
          {score.toFixed(2)}
        </span>
      )}
    </li>
  );
});
