// The demo's page that learns to sort requests.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { DATA, skipWithout } from '../data.mjs';
import { complaints, demo, launch, startSite } from './harness.mjs';

const UNKNOWN = 'I don’t know';
let browser;
let site;
let context;
let page;
let heard;

before(async () => {
  browser = await launch();
  site = await startSite({}, { data: DATA });
  // The model is loaded and stored once; the page of each test takes it from the store by itself.
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  const first = await demo.open(context, site.url);
  await demo.load(first);
  await demo.ready(first);
  await first.close();
});
after(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(() => open());
afterEach(() => page.close());

async function open(from = site) {
  page = await context.newPage();
  // The machine may have other work.
  page.setDefaultTimeout(120_000);
  heard = complaints(page);
  await page.goto(`${from.url}/#/route`);
  await page.getByRole('heading', { name: 'Examples', exact: true }).waitFor();
}

const button = (name) => page.getByRole('button', { name, exact: true });
const request = () => page.getByRole('textbox', { name: 'A request to try' });
const slider = () => page.getByRole('slider', { name: 'Good requests that it may refuse' });
const section = (name) => page.getByRole('region', { name, exact: true });
const announced = (text) => page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
const knows = (words) => page.getByText(`It knows ${words}.`).waitFor();
const checked = () =>
  page
    .getByText(/ taken for another label\.$/)
    .first()
    .waitFor();
const chooseSet = (name) => page.getByRole('group', { name: 'Which ones' }).getByText(name, { exact: true }).click();

async function learn(words = '12 labels, learned from 108 examples') {
  await demo.ready(page);
  await button('Learn').click();
  await knows(words);
  await checked();
}

/** The answer to a request: the label or what stands for it, the probability, and the sentences below. */
async function ask(text) {
  await request().fill(text);
  await page.waitForFunction(
    () => document.querySelector('#route-request').value === document.querySelector('.route-answer').dataset.request,
  );
  const lines = await page.locator('.route-answer p').allInnerTexts();
  const [label, percent] = lines[0].split('\n').filter(Boolean);
  return { label, percent, words: lines.slice(1).join(' ') };
}

/** The kept requests with their answers. */
const trials = async () =>
  Object.fromEntries(
    await page
      .locator('.route-trials button')
      .evaluateAll((all) => all.map(({ children: [text, answer] }) => [text.innerText, answer.innerText])),
  );
const refused = async () => Object.values(await trials()).filter((answer) => answer.startsWith(UNKNOWN)).length;

const rows = () =>
  page
    .locator('.route-table tbody tr')
    .evaluateAll((all) => all.map((row) => [...row.querySelectorAll('input')].map(({ value }) => value)));

async function putIn(source) {
  await button('Paste rows').click();
  await page.getByRole('textbox', { name: /^One example a line/ }).fill(source);
  await page.getByRole('button', { name: /^Add \d+ rows?$/ }).click();
}

/** Pastes into the field that has the focus. Returns whether the text goes into the field itself. */
const paste = (text) =>
  page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', text);
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
    return document.activeElement.dispatchEvent(event);
  }, text);

async function save() {
  const downloaded = page.waitForEvent('download');
  await button('Save as a file').click();
  return JSON.parse(await readFile(await (await downloaded).path(), 'utf8'));
}

const openFile = (content) =>
  page.locator('.route input[type=file]').setInputFiles({
    name: 'classifier.json',
    mimeType: 'application/json',
    buffer: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
  });

test('it learns twelve intents with a progress that only grows, answers, and refuses what is none of them', async () => {
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => {
      const bar = document.querySelector('[role=progressbar][aria-label=Learning]');
      if (bar.dataset.idle === 'false') window.seen.push([Number(bar.ariaValueNow), bar.ariaValueText]);
    }).observe(document.querySelector('.route'), { subtree: true, childList: true, attributes: true });
  });
  // A fast machine would be done before the page shows a step.
  const devtools = await context.newCDPSession(page);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: 6 });
  await learn();
  await devtools.detach();
  const seen = await page.evaluate(() => window.seen);
  const percents = seen.map(([percent]) => percent);
  assert.deepEqual(
    percents,
    percents.toSorted((a, b) => a - b),
  );
  assert.ok(new Set(percents).size >= 3, percents.join(' '));
  assert.ok(
    seen.some(([, words]) => words.startsWith('Reading the examples: 64 of 108')),
    JSON.stringify(seen),
  );

  const known = await ask('ring my brother');
  assert.equal(known.label, 'make a call');
  assert.ok(Number.parseInt(known.percent, 10) >= 60, known.percent);
  assert.match(
    known.words,
    /^(Far|Clearly) ahead of “[a-z ]+”, <?\d+%\. The nearest example is “call my sister” \(make a call\), cosine 0\.\d\d\.$/,
  );
  await announced(`make a call, ${known.percent} sure. ${known.words.split('. The')[0]}.`);
  const unknown = await ask('are octopuses clever?');
  assert.equal(unknown.label, UNKNOWN);
  assert.match(unknown.words, /^It would have said “[a-z ]+”, but (it is too unsure|no example is near enough)\. /);
  await announced(`${UNKNOWN}. ${unknown.words.split('. The')[0]}.`);

  const answers = await trials();
  for (const [text, label] of Object.entries({
    'get me up early on Sunday': 'set an alarm',
    'text Dad that the train is delayed': 'send a message',
    'my feet are cold': 'set the heating',
    'is it going to be sunny in Oslo?': 'check the weather',
    'how do bees make honey?': UNKNOWN,
  }))
    assert.ok(answers[text]?.startsWith(`${label} `), `${text}: ${answers[text]}`);
  assert.deepEqual(heard, []);
});

test('the slider changes the kept answers at once and marks its point on the curve, which is a table too', async () => {
  await learn();
  await page.getByText('The curve as a table').click();
  const table = Object.fromEntries(
    await page
      .locator('.route-curve tbody tr')
      .evaluateAll((all) => all.map(({ cells: [rate, ...rest] }) => [rate.innerText, rest.map((c) => c.innerText)])),
  );
  assert.deepEqual(Object.keys(table), ['0%', '1%', '2%', '5%', '10%', '20%', '30%', '50%']);
  assert.equal(table['0%'][0], '100%');
  const shares = (column) => Object.values(table).map((row) => Number.parseInt(row[column], 10));
  assert.deepEqual(
    shares(0),
    shares(0).toSorted((a, b) => b - a),
  );
  assert.ok(shares(1).at(-1) > shares(1)[0], 'answers are not better where more is refused');

  const marked = () => page.locator('.route-accuracy-dot').evaluate((dot) => dot.cx.baseVal.value);
  const places = [];
  for (const [key, rate] of [
    ['Home', '0%'],
    ['End', '50%'],
  ]) {
    await slider().press(key);
    const [answered, right] = table[rate];
    const sentence = `It answers ${answered} of requests like the examples, and ${right} of its answers are right.`;
    await page.getByText(sentence).waitFor();
    assert.equal(await slider().getAttribute('aria-valuetext'), `${rate}. ${sentence}`);
    places.push(await marked());
  }
  const curve = await page.locator('.route-accuracy').evaluate((path) => {
    const at = (share) => path.getPointAtLength(share * path.getTotalLength()).x;
    return [at(0), at(1)];
  });
  assert.deepEqual(places.map(Math.round), curve.map(Math.round));
  const tea = page.getByRole('button', { name: 'the tea has to steep for four minutes' });
  await tea.filter({ hasText: UNKNOWN }).waitFor();
  assert.ok((await refused()) >= 3 && (await refused()) < 8, JSON.stringify(await trials()));
  await slider().press('Home');
  await tea.filter({ hasText: 'start a timer' }).waitFor();
  assert.equal(await refused(), 0);
  assert.deepEqual(heard, []);
});

test('the check lists what it mixes up, and a correction teaches a label that it did not have', async () => {
  await learn();
  const check = section('What it mixes up');
  const words = await check
    .getByText(/ taken for another label\.$/)
    .first()
    .innerText();
  const mistakes = Number.parseInt(words, 10);
  assert.ok(mistakes >= 3 && mistakes <= 25, words);
  await check.getByRole('button', { name: /^Show all/ }).click();
  const pairs = await check
    .locator('ol > li')
    .evaluateAll((all) =>
      all.map((item) => [
        ...[...item.querySelectorAll('strong')].map(({ innerText }) => innerText),
        item.querySelectorAll('ul > li').length,
      ]),
    );
  assert.equal(
    pairs.reduce((sum, [, , texts]) => sum + texts, 0),
    mistakes,
  );
  for (const [label, predicted] of pairs) assert.notEqual(label, predicted);
  const figures = await check.locator('.figures dd:nth-of-type(1)').allInnerTexts();
  assert.equal(figures[0], `${Math.floor(((108 - mistakes) / 108) * 100)}%`);

  await ask('how do bees make honey?');
  await page.getByRole('combobox', { name: 'Wrong? This is' }).fill('nature');
  await button('Teach it').click();
  assert.equal(await request().evaluate((field) => field === document.activeElement), true, 'the focus is lost');
  await knows('13 labels, learned from 109 examples');
  await page.waitForFunction(() => document.querySelector('.route-label strong').innerText === 'nature');
  // The kept requests are answered anew after the one that is asked.
  const taught = page.locator('.route-trials button', { hasText: 'how do bees make honey?' });
  await taught.filter({ hasText: 'nature ' }).waitFor();
  assert.deepEqual((await rows()).at(-1), ['how do bees make honey?', 'nature']);
  assert.equal(await page.getByText('They have changed since it learned').count(), 0);
  await checked();

  await request().fill('where do swallows spend the winter?');
  await button('Keep').click();
  await page.waitForFunction(() => document.querySelector('.route-trials button').innerText.includes('%'));
  assert.equal(Object.keys(await trials())[0], 'where do swallows spend the winter?');
  await page.getByRole('textbox', { name: 'Label 1', exact: true }).fill('wake me');
  await page.getByText('They have changed since it learned').first().waitFor();
  assert.deepEqual(heard, []);
});

test('rows are typed, pasted from a spreadsheet or as comma-separated text, and deleted', async () => {
  await chooseSet('My own');
  assert.deepEqual(await rows(), [['', ''], ['', ''], ['', '']]); // biome-ignore format: three empty rows
  await page.getByText('It needs at least two labels.').first().waitFor();
  await page.getByRole('textbox', { name: 'Request 1', exact: true }).focus();
  assert.ok(!(await paste('Text\tIntent\nWhere is it, please?\tdelivery\r\n"a ""quoted""\nline"\trefund\n\n')));
  await announced('2 rows added.');
  assert.deepEqual((await rows()).slice(0, 3), [
    ['Where is it, please?', 'delivery'],
    ['a "quoted" line', 'refund'],
    ['', ''],
  ]);
  // A text without tabs and line breaks is the field's own.
  assert.ok(await paste('well, yes'));

  await putIn('has it been sent, or not,delivery\n"give it back, now",refund\nno label here\n');
  await page.getByText('5 examples').or(page.getByText('4 examples, 2 labels. 1 row without')).first().waitFor();
  assert.deepEqual((await rows()).slice(0, 3), [
    ['has it been sent, or not', 'delivery'],
    ['give it back, now', 'refund'],
    ['no label here', ''],
  ]);
  await button('Delete row 3').click();
  await page.getByText('4 examples, 2 labels').first().waitFor();
  await button('Learn').click();
  await knows('2 labels, learned from 4 examples');
  await page.getByText('It could not be checked. A check holds some examples back').waitFor();
  assert.equal((await ask('when will it be sent?')).label, 'delivery');

  // Another set keeps its rows, and so does this one.
  await chooseSet('12 intents');
  assert.equal((await rows()).length, 108);
  await chooseSet('My own');
  assert.deepEqual((await rows())[0], ['has it been sent, or not', 'delivery']);
  assert.deepEqual(heard, []);
});

test('learning is cancelled within a moment, and what was learned before stays', async () => {
  await learn();
  await chooseSet('My own');
  await page.getByRole('textbox', { name: 'Request 1', exact: true }).focus();
  // Chromium takes half a minute to type thousands of lines into a text field, as `fill` does.
  await paste(Array.from({ length: 3000 }, (_, i) => `request number ${i} about a thing,label ${i % 3}`).join('\n'));
  await page.getByText('240 of 3,002 rows are shown.').waitFor();
  assert.equal((await rows()).length, 240);
  await button('Learn again').click();
  await page
    .getByText(/^Reading the examples: \d+ of 3,000/)
    .first()
    .waitFor();
  await button('Cancel').click();
  const started = performance.now();
  await page.getByText('Cancelled: nothing was learned from them.').first().waitFor();
  assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`);
  await page.waitForFunction(() => document.activeElement.id === 'route-learn');
  assert.equal(await page.getByRole('progressbar').count(), 0);
  assert.equal((await ask('ring my brother')).label, 'make a call');
  await knows('12 labels, learned from 108 examples');
  assert.deepEqual(heard, []);
});

test('a classifier is saved, opened again on another visit, and a file that is none is refused in words', async () => {
  await learn();
  await slider().fill('12');
  const before = await ask('ring my brother');
  const saved = await save();
  assert.equal(saved.format, 'pilotlight-classifier');
  assert.equal(saved.unknown, 0.12);
  assert.equal(saved.labels.length, 12);
  assert.equal(saved.embedder.model, 'sentence-transformers/all-MiniLM-L6-v2');
  await page.close();

  await open();
  await demo.ready(page);
  const alert = section('Keep it').getByRole('alert');
  for (const [content, words] of [
    ['{"format":', /is not valid/],
    [{ some: 'object' }, /format is undefined/],
    [{ ...saved, embedder: { ...saved.embedder, model: 'another/model' } }, /expected another\/model/],
  ]) {
    await openFile(content);
    await alert.filter({ hasText: words }).waitFor();
    assert.match(await alert.innerText(), /^This file cannot be opened\. Choose a file that was saved here/);
  }
  await openFile({ ...saved, embedder: { ...saved.embedder, dtype: 'f32' } });
  await knows('12 labels, learned from 108 examples');
  assert.equal(await alert.count(), 0);
  assert.match(await page.getByRole('list', { name: 'Notes on the file' }).innerText(), /of dtype 'f32'/);
  assert.equal(await slider().inputValue(), '12');
  assert.equal((await rows()).length, 108);
  await checked();
  assert.deepEqual(await ask('ring my brother'), before);

  // Without its examples a head still answers.
  const { examples, texts, labelTexts, ...bare } = saved;
  await openFile(bare);
  await knows('12 labels');
  await page.getByText('It came without its examples').first().waitFor();
  assert.equal((await ask('ring my brother')).label, 'make a call');
  assert.ok(await page.getByRole('combobox', { name: 'Wrong? This is' }).isDisabled());
  assert.deepEqual(heard, []);
});

test('everything can be done by keyboard alone', async () => {
  await demo.ready(page);
  const matches = (selector) => page.evaluate((selector) => document.activeElement.matches(selector), selector);
  const focused = () =>
    page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id);
  async function tabTo(selector, most = 30) {
    for (let presses = 0; presses < most; presses += 1) {
      await page.keyboard.press('Tab');
      const ringed = await page.evaluate(
        () =>
          getComputedStyle(document.activeElement).outlineStyle !== 'none' ||
          document.activeElement.matches('.segments input'),
      );
      assert.ok(ringed, `no focus ring on ${await focused()}`);
      if (await matches(selector)) return;
    }
    assert.fail(`Tab never reached ${selector}; the focus is on ${await focused()}`);
  }
  await tabTo('#route-learn');
  await page.keyboard.press('Enter');
  await knows('12 labels, learned from 108 examples');

  await tabTo('[data-field=text]', 1);
  assert.equal(await focused(), 'Request 1');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'Request 3');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Label 2');
  await page.keyboard.press('Tab');
  const third = (await rows())[2];
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.route-table tbody tr').length === 107);
  assert.equal(await focused(), 'Delete row 2');
  assert.deepEqual((await rows())[1], third);
  // The table is left with one press, however long it is.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Add a row');
  await page.keyboard.press('Enter');
  await page.keyboard.type('who is at the door?');
  await page.keyboard.press('Tab');
  await page.keyboard.type('door');
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'Request 109');
  assert.deepEqual((await rows()).slice(-2), [['who is at the door?', 'door'], ['', '']]); // biome-ignore format: two rows

  await tabTo('#route-request');
  await page.keyboard.type('ring my brother');
  await page.waitForFunction(() => document.querySelector('.route-label strong')?.innerText === 'make a call');
  await page.keyboard.press('Enter');
  await page.locator('.route-trials button', { hasText: 'ring my brother' }).waitFor();
  await tabTo('.route-trials button');
  await tabTo('.route [type=range]');
  await page.keyboard.press('ArrowRight');
  assert.equal(await slider().inputValue(), '6');
  await tabTo('.route-curve summary');
  await tabTo('.route-check .route-buttons button');
  const downloaded = page.waitForEvent('download');
  await tabTo('.route-keep .route-buttons button');
  await page.keyboard.press('Enter');
  assert.equal((await downloaded).suggestedFilename(), 'classifier.json');
  assert.deepEqual(heard, []);
});

test('controls have names, and nothing moves when it has learned', async () => {
  await demo.ready(page);
  const places = () =>
    page
      .locator('.route > section, .route-side > section, .route-trials, #route-learn')
      .evaluateAll((all) => all.map((element) => Math.round(element.getBoundingClientRect().top + scrollY)));
  const before = await places();
  await button('Learn').click();
  await knows('12 labels, learned from 108 examples');
  await ask('ring my brother');
  // The list of confused labels appears below the other parts, which do not move.
  assert.deepEqual((await places()).slice(0, 5), before.slice(0, 5));
  const unnamed = await page.evaluate(() =>
    [
      ...document.querySelectorAll(
        '.route :is(button, input, textarea, table, section, [role=progressbar], svg[role=img])',
      ),
    ]
      .filter((element) => element.type !== 'file')
      .filter(
        (element) =>
          !element.getAttribute('aria-label') &&
          !element.getAttribute('aria-labelledby') &&
          !element.labels?.length &&
          !element.innerText?.trim() &&
          !element.closest('[aria-hidden=true]') &&
          !element.matches('.route-curve table'),
      )
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(unnamed, []);
  assert.deepEqual(heard, []);
});

test('a classifier goes with its model, which is the same on the page of the search', async () => {
  const goTo = async (name) => {
    const link = page.getByRole('link', { name, exact: true });
    await link.click();
    // Until then the page that is left has the same buttons.
    await link.and(page.locator('[aria-current=page]')).waitFor();
  };
  await demo.ready(page);
  await goTo('Search');
  await demo.ready(page);
  await goTo('Route');
  await learn();
  await ask('ring my brother');
  await button('Change').click();
  await demo.load(page, { device: 'CPU' });
  await page.getByText('There is nothing to save yet.').waitFor();
  await demo.ready(page);
  assert.equal(await page.locator('.route-label').innerText(), 'Answers come here once it has learned.');
  await page.getByText('The CPU was asked for.').filter({ visible: true }).waitFor();
  await goTo('Search');
  await button('Change').click();
  assert.ok(await page.getByRole('radio', { name: 'CPU' }).isChecked());
  assert.deepEqual(heard, []);
});

test('banking77 is offered where the server has it, and only there', {
  skip: skipWithout('banking77/banking77-train.csv'),
}, async () => {
  await chooseSet('Banking');
  await page.getByText('120 of 770 rows are shown.').waitFor();
  await page.getByText('770 examples, 77 labels').first().waitFor();
  assert.deepEqual((await rows())[0], ['I am still waiting on my card?', 'card arrival']);
  await page.getByRole('group', { name: 'How many' }).getByText('All 10,003').click();
  await page.getByText('120 of 10,003 rows are shown.').waitFor();
  await page.getByText('10,003 examples, 77 labels').first().waitFor();
  assert.equal((await rows()).length, 120);
  await button('Show more').click();
  await page.getByText('240 of 10,003 rows are shown.').waitFor();
  assert.deepEqual(heard, []);
  await page.close();

  const bare = await startSite({}, { data: '' });
  try {
    assert.equal((await fetch(`${bare.url}/data/banking77.csv`)).status, 404);
    await open(bare);
    assert.equal(await page.getByText('Banking', { exact: true }).count(), 0);
  } finally {
    await bare.close();
  }
});
