/** The limits of files and parts. A part is what one delivery of a message answers, in one isolate of 128 MB. */
import type { Settings } from '../settings.ts';
import { DAY_MS } from '../time.ts';

export const MAX_FILE = 100_000_000;
export const MAX_LINES = 50_000;
export const MAX_LINE = 65_536;
export const PART_LINES = 64;
export const PART_BYTES = 262_144;
export const MAX_CUSTOM_ID = 256;

/**
 * The parts of one owner whose messages are in the queue at a time. The next one is sent when one is done, so whoever sends a batch of
 * 50,000 lines keeps others waiting for 16 parts and not for 800; four deliveries of a Worker's queue take as many.
 */
export const OWNER_PARTS = 16;

/**
 * A run stops early, and leaves its other lines to a further message, after so many tokens (about four seconds of one core) or bytes of
 * answers: a Worker gets several messages at once, and has 30 seconds for all of them together. Time is not asked for, since the clock of
 * a Worker stands still while it computes.
 */
export const RUN_TOKENS = 8_192;
export const RUN_BYTES = 4_194_304;

/** The tries of a line whose model or upstream does not answer, and the seconds before each further try. */
export const TRIES = 3;
export const TRY_SECONDS = [10, 60] as const;
/** Seconds after which lines that met a limit of their key are tried again, as often as it takes until the batch expires. */
export const LIMIT_SECONDS = 30;

/** Bytes of a file and tokens of its texts that one delivery puts into an index, and the longest line there. */
export const STEP_BYTES = 33_554_432;
export const STEP_TOKENS = 8_192;
export const MAX_INDEX_LINE = 8_388_608;

/** The bytes of memory that loaded indexes may take together, and one that is built: a quarter of those of all models. */
export const maxIndexBytes = ({ MAX_MEMORY_MB }: Settings): number => (MAX_MEMORY_MB / 4) * 1_048_576;

/** The time of a batch from its start to its end; OpenAI has no other. */
export const WINDOW_MS = DAY_MS;
