import { type ReactNode, useLayoutEffect, useRef, useState } from 'react';
import type { Path } from './routes';
import { scrolledTo } from './useRoute';

interface Props {
  path: Path;
  shown: boolean;
  children: ReactNode;
}

/** A page of the app. It is mounted when it is shown first, and stays mounted, hidden, while another page is shown. */
export function PageView({ path, shown, children }: Props) {
  const [seen, setSeen] = useState(shown);
  const box = useRef<HTMLDivElement>(null);
  const before = useRef(shown);
  if (shown && !seen) setSeen(true);

  // A screen reader says the heading of the page that a link led to, and the Tab key goes on from there.
  useLayoutEffect(() => {
    if (shown && !before.current) {
      scrollTo(0, scrolledTo(path));
      box.current?.querySelector('h1')?.focus({ preventScroll: true });
    }
    before.current = shown;
  }, [shown, path]);

  return (
    <div ref={box} hidden={!shown}>
      {(shown || seen) && children}
    </div>
  );
}
