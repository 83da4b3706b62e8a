// Caches the page's own files, so that a reload works offline. Pilotlight stores models in IndexedDB, not here.
// The build fills in the three lists below.
const CACHE = 'page-__VERSION__';
const shell = '__SHELL__';
const later = '__LATER__';

const url = (name) => new URL(name, self.registration.scope).href;
const known = new Set([...shell, ...later].map(url));

self.addEventListener('install', (event) => {
  const fresh = shell.map((name) => new Request(url(name), { cache: 'reload' }));
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(fresh))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => event.waitUntil(takeOver()));

async function takeOver() {
  const cache = await caches.open(CACHE);
  for (const name of await caches.keys()) {
    if (name === CACHE || !name.startsWith('page-')) continue;
    const old = await caches.open(name);
    // A file with the same hashed name is the same file: a new version of the page need not fetch the WebAssembly again.
    for (const request of await old.keys()) {
      if (later.map(url).includes(request.url)) await cache.put(request, await old.match(request));
    }
    await caches.delete(name);
  }
  await self.clients.claim();
}

// The page sends the on-demand files that it used; fetching them again is served from the HTTP cache.
self.addEventListener('message', (event) => {
  if (event.data?.type !== 'keep') return;
  event.waitUntil(keep(event.data.urls.filter((one) => known.has(one))));
});

async function keep(urls) {
  const cache = await caches.open(CACHE);
  for (const one of urls) if (!(await cache.match(one))) await cache.add(one);
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const page = url('./');
  const wanted = request.mode === 'navigate' && request.url.split(/[?#]/)[0] === page ? page : request.url;
  if (known.has(wanted)) event.respondWith(fromCache(wanted, request));
});

async function fromCache(wanted, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(wanted)) ?? fetch(request);
}
