/** A simulator of Azure's blobs, `azurite` of npm, and the signatures that it checks. */
import { createHmac } from 'node:crypto';
import { pathOf } from './needs.ts';
import { freePort } from './process.ts';
import { type Server, serve } from './server.ts';

const ACCOUNT = 'testaccount';
const KEY = Buffer.from('the key of an account that is for tests').toString('base64');
const VERSION = '2022-11-02';

/**
 * A shared access signature of the account: a query that gives these permissions (`r` to read, `w` to write, `c` to create) on all that it has.
 * https://learn.microsoft.com/rest/api/storageservices/create-account-sas
 */
export function sas(permissions: string, key = KEY): string {
  const expiry = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z');
  const fields = [ACCOUNT, permissions, 'b', 'sco', '', expiry, '', 'https,http', VERSION, '', ''];
  const sig = createHmac('sha256', Buffer.from(key, 'base64')).update(fields.join('\n')).digest('base64');
  const query = { sv: VERSION, ss: 'b', srt: 'sco', sp: permissions, se: expiry, spr: 'https,http', sig };
  return new URLSearchParams(query).toString();
}

export interface AzureServer extends Server {
  /** The address of the account. */
  address: string;
  /** Makes a container, which is private. */
  newContainer(name: string): Promise<void>;
  put(container: string, name: string, bytes: Uint8Array): Promise<void>;
  /** Lets the pages of an origin read all that the account has. */
  allow(origin: string): Promise<void>;
}

export async function startAzure(): Promise<AzureServer> {
  const port = await freePort();
  const host = `http://127.0.0.1:${port}`;
  const words = ['--inMemoryPersistence', '--silent', '--disableTelemetry', '--blobPort', String(port)];
  const server = await serve(
    [process.execPath, pathOf('azurite'), ...words],
    () =>
      fetch(host).then(
        (response) => response.arrayBuffer().then(() => true),
        () => false,
      ),
    { env: { AZURITE_ACCOUNTS: `${ACCOUNT}:${KEY}` } },
  );
  const address = `${host}/${ACCOUNT}`;
  const send = async (path: string, query: string, headers: Record<string, string>, body?: Uint8Array) => {
    const response = await fetch(`${address}/${path}?${query}${sas('rwc')}`, {
      method: 'PUT',
      headers: { 'x-ms-version': VERSION, ...headers },
      ...(body ? { body: body as Uint8Array<ArrayBuffer> } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`azurite: ${response.status} ${text}`);
  };
  return {
    ...server,
    address,
    newContainer: (name) => send(name, 'restype=container&', {}),
    allow(origin) {
      const rule = `<CorsRule><AllowedOrigins>${origin}</AllowedOrigins><AllowedMethods>GET</AllowedMethods><AllowedHeaders>range</AllowedHeaders>
        <ExposedHeaders>etag,content-range,content-length,content-encoding</ExposedHeaders><MaxAgeInSeconds>600</MaxAgeInSeconds></CorsRule>`;
      const xml = `<StorageServiceProperties><Cors>${rule}</Cors></StorageServiceProperties>`;
      return send('', 'restype=service&comp=properties&', {}, new TextEncoder().encode(xml));
    },
    put: (container, name, bytes) => send(`${container}/${name}`, '', { 'x-ms-blob-type': 'BlockBlob' }, bytes),
  };
}
