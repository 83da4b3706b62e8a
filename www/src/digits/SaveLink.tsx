import type { Digits } from 'pilotlight';
import { useEffect, useState } from 'react';

interface Saved {
  url: string;
  name: string;
}

/** A link that saves the last finished number as a PNG file, with its digits in one row. */
export function SaveLink({ digits }: { digits: Digits | null }) {
  const [saved, setSaved] = useState<Saved | null>(null);

  useEffect(() => {
    if (!digits) return;
    let over = false;
    void digits
      .toGrid(digits.digits.length)
      .toBlob()
      .then((blob) => {
        if (!over)
          setSaved({
            url: URL.createObjectURL(blob),
            name: `digits-${digits.digits.join('')}-seed-${digits.seed}.png`,
          });
      });
    return () => {
      over = true;
    };
  }, [digits]);

  useEffect(() => () => void (saved && URL.revokeObjectURL(saved.url)), [saved]);

  if (!saved) return null;
  return (
    <a className="button" href={saved.url} download={saved.name}>
      Save as PNG
    </a>
  );
}
