import type { BackendReport } from 'pilotlight';
import relaxed from 'pilotlight/relaxed.wasm?url';
import simd from 'pilotlight/simd.wasm?url';
import { engine } from '../engine/engine';

/** The core of each build. One that a worker has fetched is not among the page's resources. */
const CORES = { 'relaxed-simd': relaxed, simd128: simd };

/** Registers the service worker once a sentence encoder is loaded. */
export function keepPageOffline(): void {
  const stop = engine.subscribe(() => {
    const state = engine.state();
    if (state.status !== 'ready') return;
    stop();
    void keepUsedFiles(state.embedder.backend);
  });
}

/**
 * Registers the service worker and tells it which on-demand files this page has used, so that it keeps them.
 * A page calls this after it has loaded such files; `backend` is that of a model that was loaded, `later` are files that it will need.
 */
export async function keepUsedFiles(backend?: BackendReport, later: readonly string[] = []): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
    const { active } = await navigator.serviceWorker.ready;
    const urls = performance.getEntriesByType('resource').map((entry) => entry.name);
    if (backend?.device === 'cpu') urls.push(new URL(CORES[backend.simd], document.baseURI).href);
    urls.push(...later.map((url) => new URL(url, document.baseURI).href));
    active?.postMessage({ type: 'keep', urls });
  } catch {
    // There is no service worker in private mode or over plain http: the page works there, but not offline.
  }
}
