import { type ReactNode, useLayoutEffect, useRef, useState } from 'react';
import type { Path } from './routes';
import { scrolledTo } from './useRoute';

interface Props {
  path: Path;
  shown: boolean;
  children: ReactNode;
}

/** One page. Once it was seen it stays as it is while another one is looked at. */
export function PageView({ path, shown, children }: Props) {
  const [seen, setSeen] = useState(shown);
  const box = useRef<HTMLDivElement>(null);
  const before = useRef(shown);
  if (shown && !seen) setSeen(true);

  // Whoever came by a link hears, and sees, where they are.
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
