import type { DetectorJson } from 'pilotlight';
import { headVersion } from './figures';

const KEY = 'pilotlight-detect-head';

/** Returns the detector with the threshold of the visitor's own texts, which is kept in this browser without the texts; null if there is none. */
export function keptHead(): DetectorJson | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as DetectorJson | null;
    // A newer page may have another head, to whose scores that threshold does not apply.
    return (kept?.head as { version?: unknown } | undefined)?.version === headVersion ? kept : null;
  } catch {
    return null;
  }
}

/** Keeps a calibrated detector for the next load; null goes back to the package's. */
export function keepHead(json: DetectorJson | null): void {
  try {
    if (json) localStorage.setItem(KEY, JSON.stringify(json));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked, so the threshold holds until the page is closed.
  }
}
