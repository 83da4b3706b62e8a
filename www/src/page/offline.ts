import { engine } from '../engine/engine';

/** Registers the service worker once a sentence encoder is loaded. */
export function keepPageOffline(): void {
  const stop = engine.subscribe(() => {
    if (engine.state().status !== 'ready') return;
    stop();
    void keepUsedFiles();
  });
}

/**
 * Registers the service worker and tells it which on-demand files this page has used, so that it keeps them.
 * A page calls this after it has loaded such files.
 */
export async function keepUsedFiles(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
    const { active } = await navigator.serviceWorker.ready;
    const urls = performance.getEntriesByType('resource').map((entry) => entry.name);
    active?.postMessage({ type: 'keep', urls });
  } catch {
    // There is no service worker in private mode or over plain http: the page works there, but not offline.
  }
}
