import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Choice } from '../engine/choice';
import { openLibrary, type Library, type Picture } from './library';

const NONE: readonly Picture[] = [];
const never = () => () => {};

/** The library of a model, and its pictures as they come and go; null until it is open. */
export function useLibrary({ model, revision = '' }: Choice): { library: Library | null; pictures: readonly Picture[] } {
  const [library, setLibrary] = useState<Library | null>(null);

  useEffect(() => {
    let over = false;
    let opened: Library | undefined;
    void openLibrary(model, revision).then((library) => {
      if (over) return library.close();
      opened = library;
      setLibrary(library);
    });
    return () => {
      over = true;
      setLibrary(null);
      opened?.close();
    };
  }, [model, revision]);

  const pictures = useSyncExternalStore(library?.subscribe ?? never, library?.pictures ?? (() => NONE));
  return { library, pictures };
}
