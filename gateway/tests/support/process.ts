/** Programs that tests start, and end with all that they have started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Program extends AsyncDisposable {
  child: ChildProcess;
  /** Its output so far. */
  said(): string;
  /** Sends a signal, and gives the code that the program ends with. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a program in a process group of its own. */
export function start(
  command: readonly string[],
  { cwd, env }: { cwd?: string; env?: Record<string, string> },
): Program {
  const [program = '', ...words] = command;
  const child = spawn(program, words, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (data: string) => {
      text += data;
    });
  }
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const signalGroup = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // All of them have ended.
    }
  };
  return {
    child,
    said: () => text,
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(signalGroup, 15_000, 'SIGKILL');
      const code = await closed;
      clearTimeout(timer);
      return code;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) await this.end();
      signalGroup('SIGKILL');
    },
  };
}

/** Asks until an answer comes that is fine. */
export async function untilOk(url: string | URL, program: Program, seconds = 120): Promise<Response> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return response;
    await response?.body?.cancel();
    if (program.child.exitCode !== null || Date.now() > end) {
      throw new Error(`no answer from ${url}: ${program.said().slice(-3000)}`);
    }
    await sleep(50);
  }
}

/** A port of this machine that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject).listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
