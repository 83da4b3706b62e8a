// Learns the intents of src/intents.json: `node learn.mjs [host]`, after a change of the examples below.
import { writeFileSync } from 'node:fs';
import { TextClassifier, TextEmbedder } from 'pilotlight';

const EXAMPLES = {
  'book a table': [
    'a table for two tonight',
    'can I reserve for Friday at seven',
    'do you have room for six people',
    'I would like to make a reservation',
    'is there a free table by the window',
    'book us in for lunch tomorrow',
  ],
  'cancel a booking': [
    'please cancel my reservation',
    'we cannot come tonight',
    'I need to call off the table on Friday',
    'our plans changed, drop the booking',
    'we will not need the table any more',
    'can I cancel without a fee',
  ],
  'ask about food': [
    'do you have vegan dishes',
    'is the soup gluten free',
    'what is on the menu today',
    'are there nuts in the cake',
    'what would you recommend',
    'how spicy is the curry',
  ],
  'find the place': [
    'how do I get to you',
    'is there parking nearby',
    'which bus stops at the restaurant',
    'what is your address',
    'are you far from the station',
    'can I enter with a wheelchair',
  ],
};

const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', {
  host: process.argv[2] ?? 'https://huggingface.co',
  store: false,
});
const examples = Object.entries(EXAMPLES).flatMap(([label, texts]) => texts.map((text) => ({ text, label })));
const classifier = await TextClassifier.fit(embedder, examples, { unknown: 0.05 });
const json = classifier.toJSON();
// Any mirror of the model will do, whatever it calls its commit.
delete json.embedder.commit;
writeFileSync(new URL('src/intents.json', import.meta.url), `${JSON.stringify(json)}\n`);
const { accuracy } = await classifier.evaluate({ folds: 5 });
console.log(`${examples.length} examples, ${(100 * accuracy).toFixed(0)} % right when held out`);
process.exit();
