import type { Device, Dtype, LoadOptions, StoredModel } from 'pilotlight';

/** The model that the visitor chose to load, and how to run it. */
export interface Choice {
  model: string;
  host: string;
  /** The revision of the model; without one the newest is loaded. */
  revision?: string;
  device: Device;
  /** The format of the weights; `'auto'` leaves the choice to the library. */
  dtype: Dtype | 'auto';
}

const KEY = 'pilotlight-demo';
const FALLBACK_HOST = 'https://huggingface.co';

/** The model host that this copy of the page is set up for, unless its address names another one. */
export const defaultHost = (): string => hostOf('pilotlight-host');

/** The host of the text detector's model, because a server that has other models may lack it. */
export const defaultDetectorHost = (): string => hostOf('pilotlight-detector-host');

function hostOf(name: string): string {
  const asked = new URLSearchParams(location.search).get('host');
  return asked ?? document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? FALLBACK_HOST;
}

/** The choice that the form offers on a first visit. */
export function defaultChoice(): Choice {
  return { model: 'sentence-transformers/all-MiniLM-L6-v2', host: defaultHost(), device: 'auto', dtype: 'auto' };
}

/** The choice that the last visit loaded and kept in this browser's store; null where there is none. */
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

/** Remembers a choice for the next visit, which loads it unasked; null forgets it. */
export function remember(choice: Choice | null): void {
  try {
    if (choice) localStorage.setItem(KEY, JSON.stringify(choice));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked, so the next visit asks again.
  }
}

/** Forgets the remembered choice where it means a model that was deleted, which the next visit must not fetch again unasked. */
export function forget({ host, model, dtype }: StoredModel): void {
  const kept = rememberedChoice();
  if (kept && isModelOf(kept, { host, model }) && (kept.dtype === 'auto' || kept.dtype === dtype)) remember(null);
}

/** Whether a choice means this model of this host. */
export function isModelOf(choice: Choice, { host, model }: Pick<StoredModel, 'host' | 'model'>): boolean {
  return choice.model.trim() === model && rawHost(choice.host) === host;
}

/** The load options of the library that a choice stands for. */
export function optionsFor({ device, host, dtype, revision }: Choice): LoadOptions {
  return {
    device,
    host: rawHost(host),
    ...(dtype !== 'auto' && { dtype }),
    ...(revision !== undefined && { revision }),
  };
}

/** Returns the name of a host on the page: its address without the protocol, or `this server`. */
export function hostName(host: string): string {
  return `${host}/`.startsWith(`${location.origin}/`) || host.startsWith('/')
    ? 'this server'
    : host.replace(/^https?:\/\//, '');
}

/** The full address of a host; a path such as `/hub` is one on this server. */
function absoluteHost(host: string): string {
  return new URL(host.trim() || FALLBACK_HOST, location.href).href.replace(/\/+$/, '');
}

/** The full address of a host, or the text as it is where it is no address: the library’s error names it then. */
function rawHost(host: string): string {
  try {
    return absoluteHost(host);
  } catch {
    return host;
  }
}
