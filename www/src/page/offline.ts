import { engine } from '../engine/engine';

/** Registers the service worker once the model stands. */
export function keepPageOffline(): void {
  const stop = engine.subscribe(() => {
    if (engine.state().status !== 'ready') return;
    stop();
    void keepUsedFiles();
  });
}

/** Tells the service worker which on-demand files of this page were used, and registers it before. A page calls it after it loaded some. */
export async function keepUsedFiles(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
    const { active } = await navigator.serviceWorker.ready;
    const urls = performance.getEntriesByType('resource').map((entry) => entry.name);
    active?.postMessage({ type: 'keep', urls });
  } catch {
    // No service worker (private mode, plain http): the page works, only not offline.
  }
}
