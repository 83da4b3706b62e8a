/** Wrangler's rules make a module with its text of a `.jsonc` file. */
declare module '*.jsonc' {
  const text: string;
  export default text;
}

declare module 'cloudflare:workers' {
  /** Keeps the context of the request that is served now until the promise has settled. */
  export function waitUntil(promise: Promise<unknown>): void;
}
