/** An answer as caches keep it: its status, its headers and its bytes. */

export interface KeptResponse {
  status: number;
  headers: [string, string][];
  bytes: Uint8Array<ArrayBuffer>;
}

/** Reads an answer to its end. */
export async function keep(response: Response): Promise<KeptResponse> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: [...response.headers], bytes };
}

export function restore({ status, headers, bytes }: KeptResponse): Response {
  return new Response(bytes.slice(), { status, headers });
}
