/** Servers that tests start for themselves: in a folder of their own, on a socket in it, and ended with the test. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A new folder that every user may look into; it is short, as the path of a socket has 107 characters at most. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pl-'));
  chmodSync(folder, 0o755);
  return folder;
}

export interface Server {
  stop(): Promise<void>;
}

/** Starts a server, and waits until it is ready. */
export async function serve(
  command: readonly string[],
  ready: () => boolean | Promise<boolean>,
  { folder, env }: { folder?: string; env?: Record<string, string> } = {},
): Promise<Server> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said = (said + data).slice(-4000)));
  const stop = async () => {
    await end(child);
    if (folder) rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries > 200) {
      await stop();
      throw new Error(`${program} did not start: ${said}`);
    }
    if (await ready()) return { stop };
    await sleep(50);
  }
}

/** Runs a program to its end. */
export function run(command: readonly string[]): void {
  const [program = '', ...args] = command;
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(timer);
}
