/** The column `dead` of the table of messages, where it is the queue. */

/** A message that is to be handled. */
export const LIVE = 0;
/** A message that failed at all of its tries, and is to be buried. */
export const DEAD = 1;
/** A message that could not be buried either: it is kept for a person to look at, until the cron job deletes it. */
export const KEPT = 2;
