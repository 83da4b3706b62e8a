import { useMemo, useState } from 'react';
import { fitPlane, type Plane } from '../map/pca';
import type { LibraryImage } from './library';

/** The most images that a plane is fitted to: they are enough to know it, and the time grows with the square of their number. */
const MAX_IMAGES = 200;

/**
 * The plane of a library's map. While images are coming, it is fitted anew only each time that there are half as many more, so that
 * the map does not move all the time.
 */
export function usePlane(images: readonly LibraryImage[], settled: boolean): Plane | null {
  const stage = settled ? images : Math.floor(Math.log(images.length + 1) / Math.log(1.5));
  const [fitted, setFitted] = useState({ stage, images });
  if (fitted.stage !== stage) setFitted({ stage, images });
  return useMemo(() => fitPlane(sampleOf(fitted.images).map(({ vector }) => vector)), [fitted]);
}

/** Returns at most `MAX_IMAGES` of the images, at even distances. */
function sampleOf(images: readonly LibraryImage[]): LibraryImage[] {
  const every = Math.max(1, images.length / MAX_IMAGES);
  const some = Array.from({ length: Math.min(images.length, MAX_IMAGES) }, (_, i) => images[Math.floor(i * every)]);
  return some.filter((image) => image !== undefined);
}
