/** A simulator of Google Cloud Storage, `gcp-storage-emulator` of PyPI. It checks no authorization, and gives no ETags. */
import { pathOf } from './needs.ts';
import { freePort } from './process.ts';
import { type Server, serve } from './server.ts';

export interface GcsServer extends Server {
  address: string;
  newBucket(name: string): Promise<void>;
  put(bucket: string, name: string, bytes: Uint8Array): Promise<void>;
}

export async function startGcs(): Promise<GcsServer> {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const server = await serve(
    [pathOf('gcs'), 'start', '--host', '127.0.0.1', '--port', String(port), '--in-memory', '--quiet'],
    () =>
      fetch(address).then(
        (response) => response.text().then(() => response.ok),
        () => false,
      ),
  );
  const send = async (method: string, path: string, body: string | Uint8Array, type: string) => {
    const response = await fetch(address + path, {
      method,
      body: body as string,
      headers: { 'content-type': type },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`gcp-storage-emulator: ${response.status} ${text}`);
  };
  return {
    ...server,
    address,
    newBucket: (name) => send('POST', '/storage/v1/b?project=test', JSON.stringify({ name }), 'application/json'),
    put(bucket, name, bytes) {
      const path = `/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(name)}`;
      return send('POST', path, bytes, 'application/octet-stream');
    },
  };
}
