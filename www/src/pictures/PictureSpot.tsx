import { type KeyboardEvent, memo } from 'react';
import type { Picture } from './library';

interface Props {
  picture: Picture;
  x: number;
  y: number;
  edge: number;
  stop: number;
  tabbable: boolean;
  best: boolean;
  quiet: boolean;
  active: boolean;
  onStop: (id: string) => void;
  onActive: (id: string | null) => void;
  onOpen: (picture: Picture) => void;
}

/** A picture on the map. */
export const PictureSpot = memo(function PictureSpot({
  picture,
  x,
  y,
  edge,
  stop,
  tabbable,
  best,
  quiet,
  active,
  onStop,
  onActive,
  onOpen,
}: Props) {
  const { id, name, url } = picture;

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onOpen(picture);
  }

  return (
    <g
      className="picture-spot"
      data-stop={stop}
      data-best={best}
      data-quiet={quiet}
      data-active={active}
      role="option"
      aria-selected={active}
      aria-label={name}
      tabIndex={tabbable ? 0 : -1}
      transform={`translate(${x} ${y})`}
      onFocus={() => (onStop(id), onActive(id))}
      onBlur={() => onActive(null)}
      onPointerEnter={() => onActive(id)}
      onPointerLeave={() => onActive(null)}
      onClick={() => onOpen(picture)}
      onKeyDown={onKeyDown}
    >
      <image href={url} x={-edge / 2} y={-edge / 2} width={edge} height={edge} />
      <rect x={-edge / 2} y={-edge / 2} width={edge} height={edge} rx="3" />
    </g>
  );
});
