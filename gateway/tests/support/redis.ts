/** A Redis of the test's own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { find, newFolder, type Server, serve } from './server.ts';

export interface RedisServer extends Server {
  /** The path of its socket. */
  socket: string;
  folder: string;
}

/** Starts a server; undefined where none is installed (`apt-get install redis-server`). `folder` is that of one before, with its data. */
export async function startRedis(folder = newFolder()): Promise<RedisServer | undefined> {
  const program = find('redis-server') ?? find('valkey-server');
  if (!program) return undefined;
  const socket = join(folder, 's');
  const command = [
    program,
    '--port',
    '0',
    '--unixsocket',
    socket,
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--save',
    '',
  ];
  const server = await serve(command, () => existsSync(socket));
  return { ...server, socket, folder };
}
