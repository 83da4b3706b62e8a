/**
 * The logs of all hosts that tests start, in this process and in others. No line may have a key, a secret or a text of a test: what tests send is
 * remembered here, and looked for in the lines where a host ends.
 */

/** Fields of bodies whose values are content. */
const CONTENT = new Set([
  'input',
  'text',
  'texts',
  'query',
  'documents',
  'source',
  'sentences',
  'utterances',
  'prompt',
]);
/** A shorter value may be in a line by chance. */
const SHORTEST = 8;
/** The characters of a value that are looked for: a message that is cut off still has its start. */
const LONGEST = 40;
/** The most values that are remembered; the longest batch of a test has 20,000 texts. */
const MOST = 500;
const KEY = /pl_\w{12}_(\w{32})_\w{6}/;

const secrets = new Set<string>();
const lines: string[] = [];

/** Remembers a value that no line may have. */
export function watch(value: string): void {
  const secret = KEY.exec(value)?.[1];
  if (secret !== undefined) secrets.add(secret);
  const start = value.trim().slice(0, LONGEST);
  if (start.length < SHORTEST || secrets.size >= MOST) return;
  secrets.add(start);
  // As it stands in a line of JSON.
  secrets.add(JSON.stringify(start).slice(1, -1));
}

/** Remembers the content of a body: the strings of its fields that have content, or a text that is no JSON. */
export function watchBody(body: unknown): void {
  if (typeof body !== 'string') {
    watchFields(body, false);
    return;
  }
  for (const line of body.slice(0, 100_000).split('\n').slice(0, MOST)) {
    try {
      watchFields(JSON.parse(line), false);
    } catch {
      watch(line);
    }
  }
}

function watchFields(value: unknown, isContent: boolean): void {
  if (secrets.size >= MOST) return;
  if (typeof value === 'string' && isContent) watch(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  for (const [name, item] of Object.entries(value)) {
    watchFields(item, Array.isArray(value) ? isContent : CONTENT.has(name));
  }
}

/** @throws {Error} with the line that has a remembered value */
export function checkLines(text: string): void {
  for (const secret of secrets) {
    const at = text.indexOf(secret);
    if (at === -1) continue;
    const from = text.lastIndexOf('\n', at) + 1;
    throw new Error(`a line of a log has ${JSON.stringify(secret)}: ${text.slice(from, from + 500)}`);
  }
}

/** Checks the lines of this process since the last check. */
export function checkLogs(): void {
  checkLines(lines.splice(0).join('\n'));
}

const names = ['log', 'error', 'warn', 'info', 'debug'] as const;
const textOf = (values: unknown[]): string =>
  values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' ');

// Lines of a gateway are kept, but in a process whose parent reads them; anything else is written as ever.
if (process.env.GATEWAY_TEST_LOGS !== 'written') for (const name of names) keepLines(name);

function keepLines(name: (typeof names)[number]): void {
  const write = console[name];
  console[name] = (...values: unknown[]) => {
    const line = textOf(values);
    if (line.startsWith('{"level":')) lines.push(line);
    else write(...values);
  };
}

// Requests of this process to hosts in others, and those of a gateway here to its upstreams, whose secrets they carry.
const { fetch } = globalThis;
globalThis.fetch = (input, init) => {
  if (init?.headers !== undefined) watchHeaders(new Headers(init.headers));
  if (typeof init?.body === 'string') watchBody(init.body);
  return fetch(input, init);
};

/** Remembers the credentials among headers. */
export function watchHeaders(headers: Headers): void {
  for (const name of ['authorization', 'x-api-key']) {
    const value = headers.get(name)?.replace(/^\w+ /, '');
    if (value) watch(value);
  }
}

/** Keeps what is logged, instead of writing it: the lines that were logged since; `using` ends it. */
export function keepLogs(): { lines: string[]; [Symbol.dispose](): void } {
  const kept: string[] = [];
  const before = names.map((name) => console[name]);
  for (const name of names) console[name] = (...values: unknown[]) => void kept.push(textOf(values));
  return {
    lines: kept,
    [Symbol.dispose]() {
      for (const [index, name] of names.entries()) console[name] = before[index] as typeof console.log;
      lines.push(...kept);
    },
  };
}
