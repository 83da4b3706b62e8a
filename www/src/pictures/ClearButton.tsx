import { useEffect, useRef, useState } from 'react';
import { count } from '../page/format';

/** Asks first, in place: the focus goes to the answer that changes nothing, Escape is that answer too. */
export function ClearButton({ pictures, onClear }: { pictures: number; onClear: () => void }) {
  const [asking, setAsking] = useState(false);
  const open = useRef<HTMLButtonElement>(null);
  const keep = useRef<HTMLButtonElement>(null);
  const before = useRef(asking);

  useEffect(() => {
    if (asking) keep.current?.focus();
    else if (before.current) open.current?.focus();
    before.current = asking;
  }, [asking]);

  if (!asking) {
    return (
      <button type="button" className="button quiet" ref={open} onClick={() => setAsking(true)}>
        Remove all
      </button>
    );
  }
  return (
    <div
      className="clear"
      role="group"
      aria-label={`Remove ${count(pictures, 'picture')} from the library?`}
      onKeyDown={(event) => event.key === 'Escape' && setAsking(false)}
    >
      <button type="button" className="button" ref={keep} onClick={() => setAsking(false)}>
        Keep them
      </button>
      <button type="button" className="button danger" onClick={onClear}>
        Remove {pictures === 1 ? 'it' : `all ${pictures}`}
      </button>
    </div>
  );
}
