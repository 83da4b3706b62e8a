import { useMemo } from 'react';
import { fitPlane, type Plane } from '../map/pca';
import type { Picture } from './library';

/** The time it takes grows with the square of how many there are; so many are enough to know the plane. */
const MOST = 200;

/** The plane of a library. While pictures come it is fitted again only at each half as many more, so that the map is not always moving. */
export function usePlane(pictures: readonly Picture[], settled: boolean): Plane | null {
  const stage = settled ? pictures : Math.floor(Math.log(pictures.length + 1) / Math.log(1.5));
  return useMemo(() => {
    const every = Math.max(1, pictures.length / MOST);
    const some = Array.from({ length: Math.min(pictures.length, MOST) }, (_, i) => pictures[Math.floor(i * every)]);
    return fitPlane(some.flatMap((picture) => (picture ? [picture.vector] : [])));
  }, [stage]);
}
