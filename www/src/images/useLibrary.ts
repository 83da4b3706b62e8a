import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Choice } from '../engine/choice';
import { type Library, type LibraryImage, openLibrary } from './library';

const NONE: readonly LibraryImage[] = [];
const never = () => () => {};

/**
 * Opens the library of a model, which is null until it is open, and follows its images as they come and go.
 * `source` is that of the model's vectors, once it is loaded.
 */
export function useLibrary(
  { model }: Choice,
  source: string | undefined,
): { library: Library | null; images: readonly LibraryImage[] } {
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

  // This effect comes before those that take images in, which need the source.
  useEffect(() => {
    if (library && source !== undefined) library.turnTo(source);
  }, [library, source]);

  const images = useSyncExternalStore(library?.subscribe ?? never, library?.images ?? (() => NONE));
  return { library, images };
}
