import type { Reading } from 'pilotlight/judge';
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { centred } from './centred';
import { PAD, type PadHandle } from './Pad';
import type { Studio } from './studio';

/** A drawing as the judge gets it, and what it says of it. */
export interface Judged {
  picture: Uint8Array;
  reading: Reading;
  /** Whether the stroke was over. */
  lifted: boolean;
}

/** Reads what is on the pad: one reading at a time, and after it the next where more was drawn meanwhile. */
export function useJudged(studio: Studio | null, pad: RefObject<PadHandle | null>) {
  const [judged, setJudged] = useState<Judged | null>(null);
  const [error, setError] = useState<unknown>(null);
  const asked = useRef<{ lifted: boolean } | null>(null);
  const busy = useRef(false);

  const look = useCallback(
    async (lifted = true) => {
      asked.current = { lifted };
      if (busy.current || !studio) return;
      busy.current = true;
      try {
        while (asked.current) {
          const ask = asked.current;
          asked.current = null;
          const picture = pad.current && centred(pad.current.ink(), PAD, PAD);
          const reading = picture && (await studio.read(picture))[0];
          setJudged(picture && reading ? { picture, reading, ...ask } : null);
        }
        setError(null);
      } catch (thrown) {
        setError(thrown);
      }
      busy.current = false;
    },
    [studio, pad],
  );

  // What was drawn before there was a judge.
  useEffect(() => {
    if (studio && asked.current) void look();
  }, [studio, look]);

  return { judged, error, look };
}
