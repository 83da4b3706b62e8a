import { type KeyboardEvent, memo, useMemo, useRef, useState } from 'react';
import { fitBox } from '../map/layout';
import { useSize } from '../map/useSize';
import { ImageSpot } from './ImageSpot';
import type { LibraryImage } from './library';
import { isArrow, neighbour } from './neighbour';
import type { Found } from './useImageSearch';
import { usePlane } from './usePlane';

interface Props {
  images: readonly LibraryImage[];
  found: Found | null;
  /** Whether no images are on their way into the library. */
  settled: boolean;
  active: string | null;
  onActive: (id: string | null) => void;
  onOpen: (image: LibraryImage) => void;
}

/** The number of a search's best images that are highlighted. */
const BEST = 6;

/** The images in two dimensions: those that the model finds similar tend to lie near each other. */
export const ImageMap = memo(function ImageMap({ images, found, settled, active, onActive, onOpen }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const [stop, setStop] = useState<string | null>(null);
  const plane = usePlane(images, settled);

  const spots = useMemo(() => {
    if (!plane || size.width < 80 || size.height < 80) return null;
    const flat = images.map(({ vector }) => plane.project(vector));
    return flat.map(fitBox(flat, size));
  }, [plane, images, size]);

  const best = useMemo(() => new Set(found?.scored.slice(0, BEST).map(({ image }) => image.id)), [found]);
  const edge = edgeOf(images.length, size.width);
  // The best are drawn last, so that they lie over the others.
  const order = images
    .map((_, i) => i)
    .sort((a, b) => Number(best.has(images[a]?.id ?? '')) - Number(best.has(images[b]?.id ?? '')));
  const at = Math.max(
    0,
    images.findIndex(({ id }) => id === stop),
  );
  const callout = images.findIndex(({ id }) => id === active);

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === 'Escape') onActive(null);
    if (!spots || !isArrow(event.key)) return;
    event.preventDefault();
    const next = neighbour(spots, at, event.key);
    if (next !== undefined) frame.current?.querySelector<SVGGElement>(`[data-stop="${next}"]`)?.focus();
  }

  return (
    <figure className="map image-map">
      <div className="map-frame" ref={frame}>
        {spots ? (
          <svg width={size.width} height={size.height} role="presentation">
            <g
              role="listbox"
              aria-label={`Map of ${images.length} images. Arrow keys go to the next in their direction, Enter opens it.`}
              onKeyDown={onKeyDown}
            >
              {order.map((i) => {
                const [image, spot] = [images[i], spots[i]];
                if (!image || !spot) return null;
                return (
                  <ImageSpot
                    key={image.id}
                    image={image}
                    x={spot.x}
                    y={spot.y}
                    edge={edge}
                    stop={i}
                    tabbable={i === at}
                    best={best.has(image.id)}
                    quiet={best.size > 0 && !best.has(image.id)}
                    active={image.id === active}
                    onStop={setStop}
                    onActive={onActive}
                    onOpen={onOpen}
                  />
                );
              })}
            </g>
          </svg>
        ) : (
          <p className="map-empty">
            {images.length === 1 ? 'A map needs two images.' : 'The images are laid out here by what they show.'}
          </p>
        )}
        <Callout image={images[callout]} spot={spots?.[callout]} width={size.width} />
      </div>
      <figcaption>
        {plane
          ? `The plane in which these images differ most to the model. It shows ${Math.round(plane.share * 100)}% of their spread.`
          : 'Images that show similar things will lie near each other.'}
      </figcaption>
    </figure>
  );
});

/** The name and a larger copy of the image under the pointer or the focus. */
function Callout({
  image,
  spot,
  width,
}: {
  image: LibraryImage | undefined;
  spot: { x: number; y: number } | undefined;
  width: number;
}) {
  if (!image || !spot) return null;
  const left = Math.min(Math.max(spot.x, 96), Math.max(96, width - 96));
  return (
    <div className="map-callout" style={{ left, top: spot.y }} data-below={spot.y < 190}>
      <img src={image.url} alt="" width={120} height={120} />
      <span>{image.name}</span>
    </div>
  );
}

/** The edge of an image on the map in pixels: the more images there are, the smaller each of them is. */
function edgeOf(images: number, width: number): number {
  const fair = Math.sqrt((width * width * 0.5) / Math.max(1, images));
  return Math.round(Math.min(width > 480 ? 52 : 40, Math.max(16, fair)));
}
