// WebKitGTK's MiniBrowser on a display of its own, by the W3C's WebDriver.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expressionOf, resultOf } from './call.mjs';

/** Debian keeps it out of PATH, under the triplet of the machine. */
function miniBrowser() {
  const found = readdirSync('/usr/lib')
    .map((folder) => path.join('/usr/lib', folder, 'webkit2gtk-4.1/MiniBrowser'))
    .find((file) => existsSync(file));
  if (!found) throw new Error('WebKit’s MiniBrowser is not installed: `make test-engines` installs it');
  return found;
}

/** The display's name. */
async function startDisplay() {
  const server = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const name = await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`Xvfb ended with ${code}`)));
    server.stdio[3].once('data', (number) => resolve(`:${String(number).trim()}`));
  });
  return { name, close: () => server.kill() };
}

/** The number of a port that was free a moment ago. */
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** @returns {Promise<import('./engines.test.mjs').Browser>} */
export async function launchWebKit() {
  const binary = miniBrowser();
  const display = await startDisplay();
  const visitor = () => startSession(binary, display.name);
  try {
    // Only a session tells the version.
    const { version, close } = await visitor();
    await close();
    return { version, visitor, close: display.close };
  } catch (error) {
    display.close();
    throw error;
  }
}

/** A browser with a profile of its own, which has nothing on disk, and its driver, which has one session at a time. */
async function startSession(binary, display) {
  const port = await freePort();
  const driver = spawn('WebKitWebDriver', [`--port=${port}`], {
    env: { ...process.env, DISPLAY: display, GDK_BACKEND: 'x11' },
    stdio: 'ignore',
  });
  await new Promise((resolve, reject) => driver.once('error', reject).once('spawn', resolve));
  const send = async (method, address, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${address}`, { method, body: body && JSON.stringify(body) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${address}: ${value.error}: ${value.message}`);
    return value;
  };
  for (let tries = 0; !(await send('GET', '/status').catch(() => undefined)); tries += 1) {
    if (tries === 200) throw new Error('WebKitWebDriver does not answer');
    await pause(50);
  }
  const options = { binary, args: ['--automation'] };
  const alwaysMatch = { 'webkitgtk:browserOptions': options };
  const { sessionId, capabilities } = await send('POST', '/session', { capabilities: { alwaysMatch } });
  const command = (method, address, body) => send(method, `/session/${sessionId}${address}`, body);

  let used = Promise.resolve();
  let shown;
  /** Sends commands to a window, one after another: a session has one window that they go to. */
  const inWindow = (handle, work) => {
    const done = used.then(async () => {
      if (shown !== handle) await command('POST', '/window', { handle });
      shown = handle;
      return work();
    });
    used = done.catch(() => {});
    return done;
  };
  let jobs = 0;
  const tabOf = (handle) => {
    const run = (script) => inWindow(handle, () => command('POST', '/execute/sync', { script, args: [] }));
    const element = async (selector) =>
      Object.values(await command('POST', '/element', { using: 'css selector', value: selector }))[0];
    return {
      open: (url) => inWindow(handle, () => command('POST', '/url', { url })),
      async call(work, argument) {
        jobs += 1;
        const job = `window.engineJobs[${jobs}]`;
        // The driver does not wait for the script, so that other tabs are served meanwhile.
        await run(`window.engineJobs ??= {}; ${expressionOf(work, argument)}.then((text) => { ${job} = text; });`);
        for (;;) {
          const text = await run(`return ${job};`);
          if (text) return resultOf(text);
          await pause(20);
        }
      },
      press: (selector) =>
        inWindow(handle, async () => command('POST', `/element/${await element(selector)}/click`, {})),
      type: (selector, text) =>
        inWindow(handle, async () => command('POST', `/element/${await element(selector)}/value`, { text })),
      close: () =>
        inWindow(handle, async () => {
          const [left] = await command('DELETE', '/window');
          // A session whose window is gone opens no further one.
          if (left) await command('POST', '/window', { handle: left });
          shown = left;
        }),
    };
  };
  return {
    version: capabilities.browserVersion,
    tab: async () => {
      await used;
      return tabOf((await command('POST', '/window/new', { type: 'window' })).handle);
    },
    async close() {
      await send('DELETE', `/session/${sessionId}`).catch(() => {});
      driver.kill();
    },
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
