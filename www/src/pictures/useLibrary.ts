import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Choice } from '../engine/choice';
import { type Library, openLibrary, type Picture } from './library';

const NONE: readonly Picture[] = [];
const never = () => () => {};

/** The library of a model, and its pictures as they come and go; null until it is open. `source`: what the model's vectors are of, once it stands. */
export function useLibrary(
  { model }: Choice,
  source: string | undefined,
): { library: Library | null; pictures: readonly Picture[] } {
  const [library, setLibrary] = useState<Library | null>(null);

  useEffect(() => {
    let over = false;
    let opened: Library | undefined;
    void openLibrary(model).then((library) => {
      if (over) return library.close();
      opened = library;
      setLibrary(library);
    });
    return () => {
      over = true;
      setLibrary(null);
      opened?.close();
    };
  }, [model]);

  // Ahead of the effects that take pictures in.
  useEffect(() => {
    if (library && source !== undefined) library.turnTo(source);
  }, [library, source]);

  const pictures = useSyncExternalStore(library?.subscribe ?? never, library?.pictures ?? (() => NONE));
  return { library, pictures };
}
