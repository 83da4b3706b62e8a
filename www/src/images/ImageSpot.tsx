import { type KeyboardEvent, memo } from 'react';
import type { LibraryImage } from './library';

interface Props {
  image: LibraryImage;
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
  onOpen: (image: LibraryImage) => void;
}

/** An image on the map, which is an option of the map's listbox. */
export const ImageSpot = memo(function ImageSpot({
  image,
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
  const { id, name, url } = image;

  function onFocus() {
    onStop(id);
    onActive(id);
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onOpen(image);
  }

  return (
    <g
      className="image-spot"
      data-stop={stop}
      data-best={best}
      data-quiet={quiet}
      data-active={active}
      role="option"
      aria-selected={active}
      aria-label={name}
      tabIndex={tabbable ? 0 : -1}
      transform={`translate(${x} ${y})`}
      onFocus={onFocus}
      onBlur={() => onActive(null)}
      onPointerEnter={() => onActive(id)}
      onPointerLeave={() => onActive(null)}
      onClick={() => onOpen(image)}
      onKeyDown={onKeyDown}
    >
      <image href={url} x={-edge / 2} y={-edge / 2} width={edge} height={edge} />
      <rect x={-edge / 2} y={-edge / 2} width={edge} height={edge} rx="3" />
    </g>
  );
});
