/**
 * A queue in a table, for hosts that have none. A message that is being handled stays in the table, hidden until its lease ends, so that the
 * messages of a process that died come back.
 */
import type { Message, Queue, Sql, Statement } from '../host.ts';
import { DEAD, KEPT, LIVE } from '../tables/queue.ts';

/** The handlers of messages. A message that failed at all of its tries is a dead letter, and goes to `bury`. */
export interface Consumer {
  /** `attempt`: 1 for the first delivery. */
  consume(message: Message, attempt: number): Promise<void>;
  bury(message: Message): Promise<void>;
}

interface Claimed {
  id: string;
  topic: Message['topic'];
  body: string;
  attempts: number;
  dead: number;
  [column: string]: string | number | null;
}

export interface SqlQueueOptions {
  /** The tries of a message before it is a dead letter. */
  tries?: number;
  /** Seconds for which a claimed message is hidden. It is claimed anew while its handler runs. */
  leaseSeconds?: number;
  /** Seconds before the second try; each further one waits twice as long, 300 at most. */
  retrySeconds?: number;
  /** Milliseconds between looks at an empty table. A message of this process is found at once. */
  pollMs?: number;
  report?: (error: unknown, message: Message) => void;
  now?: () => number;
}

export class SqlQueue implements Queue {
  readonly #sql: Sql;
  readonly #options: Required<SqlQueueOptions>;
  #sent = false;
  #wake: (() => void) | undefined;

  constructor(sql: Sql, options: SqlQueueOptions = {}) {
    this.#sql = sql;
    this.#options = {
      tries: 4,
      leaseSeconds: 60,
      retrySeconds: 5,
      pollMs: 1000,
      report: () => {},
      now: Date.now,
      ...options,
    };
  }

  async send(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    const now = this.#options.now();
    const statements = messages.map(
      ({ topic, body, delaySeconds = 0 }, index): Statement => [
        'INSERT INTO queue (id, topic, body, ready_at, attempts, dead) VALUES (?, ?, ?, ?, 0, 0)',
        // Messages that are ready at the same time are handled in the order of their names.
        [
          `${now}-${String(index).padStart(4, '0')}-${crypto.randomUUID()}`,
          topic,
          JSON.stringify(body),
          now + delaySeconds * 1000,
        ],
      ],
    );
    await this.#sql.batch(statements);
    this.#sent = true;
    this.#wake?.();
  }

  /** Handles up to `limit` messages that are ready, one after the other, and tells how many there were. */
  async handle(consumer: Consumer, limit = 1): Promise<number> {
    const now = this.#options.now();
    const claimed = await this.#sql.all<Claimed>(
      `WITH ready AS (
         SELECT id FROM queue WHERE dead IN (${LIVE}, ${DEAD}) AND ready_at <= ? ORDER BY ready_at, id
         LIMIT ${Math.trunc(limit)} ${this.#sql.skipLocked}
       )
       UPDATE queue SET attempts = attempts + 1, ready_at = ? WHERE id IN (SELECT id FROM ready)
       RETURNING id, topic, body, attempts, dead`,
      [now, now + this.#options.leaseSeconds * 1000],
    );
    claimed.sort((a, b) => (a.id < b.id ? -1 : 1));
    const count = claimed.length;
    const renewal = setInterval(() => void this.#renew(claimed).catch(() => {}), this.#options.leaseSeconds * 500);
    try {
      while (claimed[0]) {
        await this.#handle(claimed[0], consumer);
        claimed.shift();
      }
    } finally {
      clearInterval(renewal);
    }
    return count;
  }

  /** Handles messages as they come, until the signal aborts; those that are being handled then are handled to their end. */
  async run(consumer: Consumer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#sent = false;
      // An error of the database itself is waited out; errors of handlers do not come here.
      const handled = await this.handle(consumer).catch(() => 0);
      if (handled === 0 && !this.#sent && !signal.aborted) await this.#pause(signal);
    }
  }

  async #handle(claimed: Claimed, consumer: Consumer): Promise<void> {
    const message: Message = { topic: claimed.topic, body: JSON.parse(claimed.body) };
    const { tries, report } = this.#options;
    try {
      // A message whose handling killed the process at every try does not get here with an error.
      if (claimed.attempts > tries) throw new Error(`no answer in ${tries} tries`);
      await (claimed.dead === DEAD ? consumer.bury(message) : consumer.consume(message, claimed.attempts));
      await this.#sql.all('DELETE FROM queue WHERE id = ?', [claimed.id]);
    } catch (error) {
      report(error, message);
      await this.#postpone(claimed);
    }
  }

  async #postpone({ id, attempts, dead }: Claimed): Promise<void> {
    const { tries, retrySeconds, now } = this.#options;
    if (attempts >= tries) {
      const next = dead === LIVE ? DEAD : KEPT;
      await this.#sql.all('UPDATE queue SET dead = ?, attempts = 0, ready_at = ? WHERE id = ?', [next, now(), id]);
    } else {
      const wait = Math.min(300, retrySeconds * 2 ** (attempts - 1));
      await this.#sql.all('UPDATE queue SET ready_at = ? WHERE id = ?', [now() + wait * 1000, id]);
    }
  }

  async #renew(claimed: readonly Claimed[]): Promise<void> {
    const until = this.#options.now() + this.#options.leaseSeconds * 1000;
    const marks = claimed.map(() => '?').join(', ');
    if (claimed.length > 0) {
      await this.#sql.all(`UPDATE queue SET ready_at = ? WHERE id IN (${marks})`, [
        until,
        ...claimed.map(({ id }) => id),
      ]);
    }
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(end, this.#options.pollMs);
      signal.addEventListener('abort', end);
      this.#wake = end;
    });
  }
}
