import type { Reading } from 'pilotlight/judge';
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { centred } from './centred';
import { PAD, type PadHandle } from './Pad';
import type { Studio } from './studio';

/** A drawing as the judge gets it, and its reading. */
export interface Judged {
  /** 28 by 28 pixels: 0 is paper, 255 is ink. */
  pixels: Uint8Array;
  reading: Reading;
  /** Whether the stroke was over when the drawing was read. */
  lifted: boolean;
}

/** Reads the drawing on the pad, one reading at a time; where more was drawn during a reading, another one follows. */
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
          const pixels = pad.current && centred(pad.current.ink(), PAD, PAD);
          const reading = pixels && (await studio.read(pixels))[0];
          setJudged(pixels && reading ? { pixels, reading, ...ask } : null);
        }
        setError(null);
      } catch (thrown) {
        setError(thrown);
      }
      busy.current = false;
    },
    [studio, pad],
  );

  // A drawing that was made before the studio was open is read now.
  useEffect(() => {
    if (studio && asked.current) void look();
  }, [studio, look]);

  return { judged, error, look };
}
