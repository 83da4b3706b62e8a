/** A Redis of the test's own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathOf } from './needs.ts';
import { newFolder, type Server, serve } from './server.ts';

export interface RedisServer extends Server {
  /** The path of its socket. */
  socket: string;
  folder: string;
}

/** Starts a server. `folder` is that of one before, with its data; with a port it listens there too, on this machine alone. */
export async function startRedis(folder = newFolder(), port = 0): Promise<RedisServer> {
  const socket = join(folder, 's');
  const command = [
    pathOf('redis'),
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
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
