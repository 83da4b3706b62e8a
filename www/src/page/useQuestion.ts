import { useEffect, useRef, useState } from 'react';

/**
 * A question that takes the place of the button that asks it. The focus goes to the answer that changes nothing, and back to the
 * button with it.
 */
export function useQuestion() {
  const [asking, setAsking] = useState(false);
  const open = useRef<HTMLButtonElement>(null);
  const keep = useRef<HTMLButtonElement>(null);
  const before = useRef(asking);

  useEffect(() => {
    if (asking) keep.current?.focus();
    else if (before.current) open.current?.focus();
    before.current = asking;
  }, [asking]);

  return { asking, setAsking, open, keep };
}
