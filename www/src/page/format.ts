/** Writes a number of bytes in decimal units, as browsers do for downloads: `22.9 MB`. */
export function megabytes(bytes: number): string {
  if (bytes === 0) return '0 MB';
  if (bytes < 1e5) return `${Math.round(bytes / 1e3)} kB`;
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Writes a duration with two or three digits: `4.2 ms`, `120 ms`, `1.3 s`. */
export function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

/** Writes a number with its noun in the right form: `1 token`, `2,000 tokens`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** Writes a share as `98%`. It is rounded down, so that `100%` means all. */
export function percent(share: number): string {
  return share > 0 && share < 0.01 ? '<1%' : `${Math.floor(share * 100)}%`;
}

/** Estimates the time left from the items that are done in `ms` milliseconds; empty until there are enough of them. */
export function timeLeft(done: number, total: number, ms: number): string {
  if (done < 3 || ms < 1000) return '';
  const seconds = ((total - done) * ms) / done / 1000;
  if (seconds < 2) return 'almost done';
  return seconds < 90 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.round(seconds / 60)} min left`;
}

const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const UNITS = [
  ['minute', 60],
  ['hour', 3600],
  ['day', 86_400],
  ['week', 604_800],
  ['month', 2_629_800],
  ['year', 31_557_600],
] as const;

/** Writes how long ago a time in milliseconds since 1970 was: `5 minutes ago`, `yesterday`, `last month`. */
export function ago(time: number, now = Date.now()): string {
  const seconds = (now - time) / 1000;
  const unit = UNITS.findLast(([, length]) => seconds >= length);
  return unit ? AGO.format(-Math.floor(seconds / unit[1]), unit[0]) : 'just now';
}
