import { engine } from '../engine/engine';

/** Registers the service worker once the model stands, and tells it which on-demand files of this page were used. */
export function keepPageOffline(): void {
  if (!('serviceWorker' in navigator)) return;
  const stop = engine.subscribe(() => {
    if (engine.state().status !== 'ready') return;
    stop();
    void register();
  });
}

async function register(): Promise<void> {
  try {
    await navigator.serviceWorker.register('./service-worker.js', { updateViaCache: 'none' });
    const { active } = await navigator.serviceWorker.ready;
    const urls = performance.getEntriesByType('resource').map((entry) => entry.name);
    active?.postMessage({ type: 'keep', urls });
  } catch {
    // No service worker (private mode, plain http): the page works, only not offline.
  }
}
