import { type KeyboardEvent, memo, useMemo, useRef, useState } from 'react';
import { fitBox } from '../map/layout';
import { useSize } from '../map/useSize';
import type { Picture } from './library';
import { isArrow, neighbour } from './neighbour';
import { PictureSpot } from './PictureSpot';
import type { Found } from './usePictureSearch';
import { usePlane } from './usePlane';

interface Props {
  pictures: readonly Picture[];
  found: Found | null;
  /** Whether no more pictures are coming just now. */
  settled: boolean;
  active: string | null;
  onActive: (id: string | null) => void;
  onOpen: (picture: Picture) => void;
}

/** So many of the best are pointed out. */
const BEST = 6;

/** The pictures in two dimensions: what looks alike to the model tends to lie near. */
export const PictureMap = memo(function PictureMap({ pictures, found, settled, active, onActive, onOpen }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const [stop, setStop] = useState<string | null>(null);
  const plane = usePlane(pictures, settled);

  const spots = useMemo(() => {
    if (!plane || size.width < 80 || size.height < 80) return null;
    const flat = pictures.map(({ vector }) => plane.project(vector));
    return flat.map(fitBox(flat, size));
  }, [plane, pictures, size]);

  const best = useMemo(() => new Set(found?.scored.slice(0, BEST).map(({ picture }) => picture.id)), [found]);
  const edge = edgeOf(pictures.length, size.width);
  // The best are drawn last, over the others.
  const order = pictures
    .map((_, i) => i)
    .sort((a, b) => Number(best.has(pictures[a]?.id ?? '')) - Number(best.has(pictures[b]?.id ?? '')));
  const at = Math.max(
    0,
    pictures.findIndex(({ id }) => id === stop),
  );
  const callout = pictures.findIndex(({ id }) => id === active);

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === 'Escape') onActive(null);
    if (!spots || !isArrow(event.key)) return;
    event.preventDefault();
    const next = neighbour(spots, at, event.key);
    if (next !== undefined) frame.current?.querySelector<SVGGElement>(`[data-stop="${next}"]`)?.focus();
  }

  return (
    <figure className="map picture-map">
      <div className="map-frame" ref={frame}>
        {spots ? (
          <svg
            width={size.width}
            height={size.height}
            role="listbox"
            aria-label={`Map of ${pictures.length} pictures. Arrow keys go to the next in their direction, Enter opens it.`}
            onKeyDown={onKeyDown}
          >
            {order.map((i) => {
              const [picture, spot] = [pictures[i], spots[i]];
              if (!picture || !spot) return null;
              return (
                <PictureSpot
                  key={picture.id}
                  picture={picture}
                  x={spot.x}
                  y={spot.y}
                  edge={edge}
                  stop={i}
                  tabbable={i === at}
                  best={best.has(picture.id)}
                  quiet={best.size > 0 && !best.has(picture.id)}
                  active={picture.id === active}
                  onStop={setStop}
                  onActive={onActive}
                  onOpen={onOpen}
                />
              );
            })}
          </svg>
        ) : (
          <p className="map-empty">
            {pictures.length === 1 ? 'A map needs two pictures.' : 'The pictures are laid out here by what they show.'}
          </p>
        )}
        <Callout picture={pictures[callout]} spot={spots?.[callout]} width={size.width} />
      </div>
      <figcaption>
        {plane
          ? `The plane in which these pictures differ most to the model. It shows ${Math.round(plane.share * 100)}% of their spread.`
          : 'Pictures that show similar things will lie near each other.'}
      </figcaption>
    </figure>
  );
});

function Callout({
  picture,
  spot,
  width,
}: {
  picture: Picture | undefined;
  spot: { x: number; y: number } | undefined;
  width: number;
}) {
  if (!picture || !spot) return null;
  const left = Math.min(Math.max(spot.x, 96), Math.max(96, width - 96));
  return (
    <div className="map-callout" style={{ left, top: spot.y }} data-below={spot.y < 190}>
      <img src={picture.url} alt="" width={120} height={120} />
      <span>{picture.name}</span>
    </div>
  );
}

/** The more there are, the smaller each. */
function edgeOf(pictures: number, width: number): number {
  const room = Math.sqrt((width * width * 0.5) / Math.max(1, pictures));
  return Math.round(Math.min(width > 480 ? 52 : 40, Math.max(16, room)));
}
