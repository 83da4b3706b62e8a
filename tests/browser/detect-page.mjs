// The demo's page that looks for signs of a machine, as its tests use it.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DATA } from '../data.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const SMOLLM2 = process.env.PILOTLIGHT_SMOLLM2 ?? path.join(root, '.models/SmolLM2-135M-Instruct-GGUF');
const { model } = JSON.parse(readFileSync(path.join(root, 'training/detector/model.json'), 'utf8'));
export const { file: GGUF, repository: REPOSITORY, commit: COMMIT } = model;
/** The model for a site, where it was fetched. */
export const smollm2 = existsSync(path.join(SMOLLM2, GGUF)) ? { [REPOSITORY]: SMOLLM2 } : null;

/** Returns the figures that training measured; null if it has not written them. */
export const figures = () => {
  const file = path.join(root, 'weights/detector/figures.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
};

export const head = () => JSON.parse(readFileSync(path.join(root, 'weights/detector/head.json'), 'utf8'));

const read = (name) => JSON.parse(readFileSync(path.join(DATA, name), 'utf8'));
/** Essays by a machine, by people who learn English, and by pupils. */
export const machineTexts = () => read('bias/college_gpt35.json');
export const humanTexts = () => read('bias/toefl_human.json');
export const pupilTexts = () => read('bias/hewlett_human.json');

export const detect = {
  async open(page, site) {
    await page.goto(`${site.url}/#/detect`);
    await page.getByRole('heading', { name: 'The text', exact: true }).waitFor();
  },

  /** Asks what the model takes. */
  async look(page) {
    await page.getByRole('button', { name: 'See what it takes' }).click();
    await page.getByRole('heading', { name: /^Fetch the model from/ }).waitFor();
  },

  ready: (page) => page.getByRole('heading', { name: 'The detector is ready' }).waitFor(),

  /** Judges a text, and returns the verdict that the page shows. */
  async judge(page, text) {
    await page.getByRole('textbox', { name: 'The text', exact: true }).fill(text);
    await page.getByRole('button', { name: 'Judge the text' }).click();
    await page.waitForFunction(
      () =>
        document.querySelector('.detect-verdict').getAttribute('aria-busy') === 'false' &&
        !document.querySelector('.detect-form .bar'),
    );
    return page.locator('.detect-answer').getAttribute('data-verdict');
  },
};
