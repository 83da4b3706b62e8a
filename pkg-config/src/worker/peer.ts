import { PilotlightError } from '../error.js';
import { buffersIn, decode, encode, errorOf, type Failure, failureOf, type References, type Stubs } from './travel.js';

/** A port to the other side: a `Worker`, or a worker's own global scope. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  /** Keep the process alive or not, in runtimes that otherwise end with their last task. */
  ref?(): void;
  unref?(): void;
}

type Message =
  | { kind: 'call'; id: number; target: string | number; args: unknown }
  | { kind: 'value'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: Failure }
  | { kind: 'abort'; ref: number };

/** The functions and signals that were sent along with a call. */
interface Scope extends References {
  /** Stops to tell of signals. Unless they are `kept`, it also forgets the functions, and releases what they read from. */
  end(kept: boolean): void;
}

/** Answers have no functions: nobody would know when to forget them. */
const NONE: References = {
  function: () => {
    throw new PilotlightError('INTERNAL', 'an answer has a function');
  },
  signal: () => {
    throw new PilotlightError('INTERNAL', 'an answer has a signal');
  },
};

/** Calls the functions of another thread over messages, and has its own called. Functions among the arguments are called back. */
export class Peer {
  readonly #port: Port;
  readonly #functions: Readonly<Record<string, (...args: never[]) => unknown>>;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
  /** Functions that the other side may call by number, and what releases their sources. */
  readonly #lent = new Map<number, { call: (...args: never[]) => unknown; stop: (() => void) | undefined }>();
  /** Signals of the other side, by its numbers. */
  readonly #aborters = new Map<number, AbortController>();
  /** The time of the last message from the other side. */
  heard = Date.now();
  #last = 0;
  #end: PilotlightError | undefined;

  /** `functions` are those that the other side calls by name. Messages that are none of a peer's are ignored. */
  constructor(port: Port, functions: Readonly<Record<string, (...args: never[]) => unknown>>) {
    this.#port = port;
    this.#functions = functions;
    port.onmessage = ({ data }) => {
      const message = data as Partial<Message> | null | undefined;
      if (typeof message !== 'object' || message === null) return;
      this.heard = Date.now();
      void this.#receive(message as Message);
    };
  }

  /** Whether a call waits for its answer. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /**
   * Calls a function of the other side. Functions and signals among the arguments are forgotten after the answer, unless they are `kept`.
   * @throws {PilotlightError} what the function throws, and `INTERNAL` where the other side is gone
   */
  async call(target: string | number, args: readonly unknown[], kept = false): Promise<unknown> {
    if (this.#end) throw this.#end;
    const id = this.#next();
    const scope = this.#scope();
    let isKept = false;
    try {
      const value = await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#port.ref?.();
        this.#send({ kind: 'call', id, target, args: encode(args, scope) });
      });
      isKept = kept;
      return value;
    } finally {
      this.#waiting.delete(id);
      if (!this.isWaiting) this.#port.unref?.();
      scope.end(isKept);
    }
  }

  /** Rejects all calls under way, and all later ones: the other side is gone. */
  end(error: PilotlightError): void {
    this.#end ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#end);
    this.#waiting.clear();
    for (const { stop } of this.#lent.values()) stop?.();
    this.#lent.clear();
  }

  async #receive(message: Message): Promise<void> {
    switch (message.kind) {
      case 'call':
        return this.#answer(message);
      case 'value':
        return this.#waiting.get(message.id)?.resolve(decode(message.value, this.#stubs()));
      case 'error':
        return this.#waiting.get(message.id)?.reject(errorOf(message.error));
      case 'abort':
        return this.#aborters.get(message.ref)?.abort();
    }
  }

  async #answer({ id, target, args }: Extract<Message, { kind: 'call' }>): Promise<void> {
    const signals: number[] = [];
    try {
      const called = typeof target === 'number' ? this.#lent.get(target)?.call : this.#functions[target];
      if (!called) throw new PilotlightError('INTERNAL', `the worker’s other side has no function ${target}`);
      const value = encode(await called(...(decode(args, this.#stubs(signals)) as never[])), NONE);
      // Bytes of the core or of a store are not used here any more; a program's own stay its own.
      this.#send({ kind: 'value', id, value }, typeof target === 'string' ? [...buffersIn(value)] : []);
    } catch (error) {
      this.#send({ kind: 'error', id, error: failureOf(error, typeof target === 'number') });
    } finally {
      for (const ref of signals) this.#aborters.delete(ref);
    }
  }

  #stubs(signals: number[] = []): Stubs {
    return {
      function: (ref) => this.#stub(ref),
      signal: (ref, aborted) => {
        signals.push(ref);
        const aborter = this.#aborters.get(ref) ?? new AbortController();
        this.#aborters.set(ref, aborter);
        if (aborted) aborter.abort();
        return aborter.signal;
      },
    };
  }

  /** A function that calls one of the other side. Nobody need wait for its answer: a listener's is lost. */
  #stub(ref: number): (...args: unknown[]) => Promise<unknown> {
    return (...args) => {
      const answer = this.call(ref, args);
      answer.catch(() => {});
      return answer;
    };
  }

  #scope(): Scope {
    const refs: number[] = [];
    const ends: (() => void)[] = [];
    return {
      function: (call, stop) => {
        const ref = this.#next();
        this.#lent.set(ref, { call, stop });
        refs.push(ref);
        return ref;
      },
      signal: (signal) => {
        const ref = this.#next();
        const tell = (): void => this.#send({ kind: 'abort', ref });
        signal.addEventListener('abort', tell, { once: true });
        ends.push(() => signal.removeEventListener('abort', tell));
        return ref;
      },
      end: (kept) => {
        for (const end of ends) end();
        if (kept) return;
        for (const ref of refs) {
          this.#lent.get(ref)?.stop?.();
          this.#lent.delete(ref);
        }
      },
    };
  }

  #next(): number {
    this.#last += 1;
    return this.#last;
  }

  #send(message: Message, transfer: Transferable[] = []): void {
    try {
      this.#port.postMessage(message, transfer);
    } catch (error) {
      if (message.kind === 'value') this.#send({ kind: 'error', id: message.id, error: failureOf(error) });
      else if (message.kind === 'call') {
        const words = error instanceof Error ? error.message : String(error);
        this.#waiting
          .get(message.id)
          ?.reject(new PilotlightError('INVALID_INPUT', `an argument cannot be sent to the worker: ${words}`, error));
      }
    }
  }
}
