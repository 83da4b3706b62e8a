import { type RefObject, useLayoutEffect, useState } from 'react';
import type { Size } from './layout';

/** The size of an element in pixels, kept up to date as it changes. */
export function useSize(element: RefObject<Element | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    if (!element.current) return;
    const observer = new ResizeObserver(([entry]) => {
      // An element of a hidden page has no size: the last one stays.
      if (entry && entry.contentRect.width > 0)
        setSize({ width: Math.round(entry.contentRect.width), height: Math.round(entry.contentRect.height) });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}
