// Firefox over WebDriver BiDi, and Chromium over its own protocol.
import puppeteer from 'puppeteer-core';
import { expressionOf, resultOf } from './call.mjs';

const firefox = { browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' };
const chromium = {
  browser: 'chrome',
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
};

export const launchFirefox = () => launch(firefox);
export const launchChromium = () => launch(chromium);

/** @returns {Promise<import('./engines.test.mjs').Browser>} */
async function launch(options) {
  const browser = await puppeteer.launch({ ...options, headless: true, protocolTimeout: 600_000 });
  return {
    version: (await browser.version()).replace(/^.*\//, ''),
    async visitor() {
      const context = await browser.createBrowserContext();
      return { tab: async () => tabOf(await context.newPage()), close: () => context.close() };
    },
    close: () => browser.close(),
  };
}

function tabOf(page) {
  return {
    open: async (url) => void (await page.goto(url)),
    call: async (work, argument) => resultOf(await page.evaluate(expressionOf(work, argument))),
    press: (selector) => page.click(selector),
    type: (selector, text) => page.type(selector, text),
    close: () => page.close(),
  };
}
