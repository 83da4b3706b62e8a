import type { Device, Dtype, LoadOptions, StoredModel } from 'pilotlight';

/** What the visitor chose to load. */
export interface Choice {
  model: string;
  host: string;
  /** Of the model; without one the newest. */
  revision?: string;
  device: Device;
  /** `'auto'` leaves it to the library. */
  dtype: Dtype | 'auto';
}

const KEY = 'pilotlight-demo';
const FALLBACK_HOST = 'https://huggingface.co';

/** The host that this copy of the page was set up for. */
export function defaultHost(): string {
  const asked = new URLSearchParams(location.search).get('host');
  return asked ?? document.querySelector<HTMLMetaElement>('meta[name="pilotlight-host"]')?.content ?? FALLBACK_HOST;
}

export function defaultChoice(): Choice {
  return { model: 'sentence-transformers/all-MiniLM-L6-v2', host: defaultHost(), device: 'auto', dtype: 'auto' };
}

/** What was loaded on the last visit; then it lies in this browser's store. */
export function rememberedChoice(): Choice | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    if (typeof kept !== 'object' || kept === null) return null;
    const choice = { ...defaultChoice(), ...kept };
    return new URLSearchParams(location.search).has('host') ? { ...choice, host: defaultHost() } : choice;
  } catch {
    return null;
  }
}

export function remember(choice: Choice | null): void {
  try {
    if (choice) localStorage.setItem(KEY, JSON.stringify(choice));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked: the next visit asks again.
  }
}

/** A model was deleted: the next visit must not fetch it again unasked. */
export function forget({ host, model, dtype }: StoredModel): void {
  const kept = rememberedChoice();
  if (kept && isModelOf(kept, { host, model }) && (kept.dtype === 'auto' || kept.dtype === dtype)) remember(null);
}

/** Whether a choice means this model of this host. */
export function isModelOf(choice: Choice, { host, model }: Pick<StoredModel, 'host' | 'model'>): boolean {
  return choice.model.trim() === model && rawHost(choice.host) === host;
}

/** A choice as the library takes it. */
export function optionsFor({ device, host, dtype, revision }: Choice): LoadOptions {
  return {
    device,
    host: rawHost(host),
    ...(dtype !== 'auto' && { dtype }),
    ...(revision !== undefined && { revision }),
  };
}

/** A host as people say it. */
export function hostName(host: string): string {
  return `${host}/`.startsWith(`${location.origin}/`) || host.startsWith('/')
    ? 'this server'
    : host.replace(/^https?:\/\//, '');
}

/** `'/hub'` and the like mean this server. */
function absoluteHost(host: string): string {
  return new URL(host.trim() || FALLBACK_HOST, location.href).href.replace(/\/+$/, '');
}

/** A host that is no address at all goes to the library as it is, whose message names it. */
function rawHost(host: string): string {
  try {
    return absoluteHost(host);
  } catch {
    return host;
  }
}
