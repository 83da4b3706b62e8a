/** Units of time. The gateway counts milliseconds since 1970, and OpenAI's clients read seconds. */

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** A time as answers have it. */
export const seconds = <T extends number | null>(ms: T): T => (ms === null ? ms : Math.floor(ms / 1000)) as T;
