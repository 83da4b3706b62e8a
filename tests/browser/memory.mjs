// The memory of Chromium's pages, as the system counts it.
import { readFile } from 'node:fs/promises';

/** Resident bytes of all pages of a browser, without those of files, which processes share. */
export async function memoryOfPages(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  let bytes = 0;
  for (const { type, id } of processInfo) {
    if (type !== 'renderer') continue;
    const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
    bytes += Number(status.match(/^RssAnon:\s+(\d+)/m)?.[1] ?? 0) * 1024;
  }
  return bytes;
}
