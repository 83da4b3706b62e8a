/** Keeps what is logged, instead of writing it. */

/** The lines that were logged since; `using` ends it. */
export function keepLogs(): { lines: string[]; [Symbol.dispose](): void } {
  const lines: string[] = [];
  const names = ['log', 'error', 'warn', 'info', 'debug'] as const;
  const before = names.map((name) => console[name]);
  for (const name of names) {
    console[name] = (...values: unknown[]) => {
      lines.push(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
    };
  }
  return {
    lines,
    [Symbol.dispose]() {
      for (const [index, name] of names.entries()) console[name] = before[index] as typeof console.log;
    },
  };
}
