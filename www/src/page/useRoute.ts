import { useSyncExternalStore } from 'react';
import { type Path, routeOf } from './routes';

/** How far down each page was looked at. */
const scrolled = new Map<Path, number>();

addEventListener('hashchange', ({ oldURL }) => scrolled.set(routeOf(new URL(oldURL).hash).path, scrollY));

export const scrolledTo = (path: Path): number => scrolled.get(path) ?? 0;

function subscribe(listener: () => void) {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}

export function useRoute() {
  return useSyncExternalStore(subscribe, () => routeOf(location.hash));
}
