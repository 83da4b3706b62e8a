import { useSyncExternalStore } from 'react';
import { formerAddresses, href, type Path, routeOf } from './routes';

/** The scroll position of each page when the visitor left it, in pixels. */
const scrolled = new Map<Path, number>();

/** Replaces a former address of a page by the present one, so that the visitor sees, copies and reloads that. */
function replaceFormerAddress(): void {
  const path = formerAddresses[location.hash];
  if (path) history.replaceState(history.state, '', href(path));
}

replaceFormerAddress();
addEventListener('hashchange', ({ oldURL }) => {
  scrolled.set(routeOf(new URL(oldURL).hash).path, scrollY);
  replaceFormerAddress();
});

export const scrolledTo = (path: Path): number => scrolled.get(path) ?? 0;

function subscribe(listener: () => void) {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}

/** The route that the address names, followed as it changes. */
export function useRoute() {
  return useSyncExternalStore(subscribe, () => routeOf(location.hash));
}
