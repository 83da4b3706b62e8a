/** The memory of an isolate as its debugger tells it. */
export interface HeapUsage {
  /** Bytes of objects of JavaScript. */
  usedSize: number;
  /** Bytes of buffers, which has the linear memory of WebAssembly too. */
  backingStorageSize: number;
}

/** Asks the isolate of a Worker, through the port that miniflare's option `inspectorPort` names. */
export async function heapUsage(port: number, worker: string): Promise<HeapUsage> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as Record<string, string>[];
  const target = targets.find(({ id, title, webSocketDebuggerUrl }) =>
    [id, title, webSocketDebuggerUrl].some((name) => name?.includes(worker)),
  );
  if (!target) throw new Error(`no isolate of ${worker} among ${JSON.stringify(targets)}`);
  const socket = new WebSocket(target.webSocketDebuggerUrl as string);
  try {
    return await new Promise<HeapUsage>((resolve, reject) => {
      socket.onerror = () => reject(new Error(`the debugger at ${target.webSocketDebuggerUrl} does not answer`));
      socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }));
      socket.onmessage = ({ data }) => {
        const { id, result, error } = JSON.parse(String(data));
        if (id !== 1) return;
        if (error) reject(new Error(error.message));
        else resolve(result);
      };
    });
  } finally {
    socket.close();
  }
}
