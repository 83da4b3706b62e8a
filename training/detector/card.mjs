/** The model card. */
import { createHash } from 'node:crypto';
import { heldOut, judged, writers } from './tables.mjs';

/** One digest of all data files. */
const digestOf = (digests) => createHash('sha256').update(JSON.stringify(digests)).digest('hex');

export function card({ head, figures, digests, counts }) {
  const { model } = head;
  const { inDomain } = figures;
  return `# Machine-text detector: model card

Written by \`make train-detector\`. The head is \`head.json\`, version \`${head.version}\`; all figures are in \`figures.json\`.

**A hint for a person who knows the context, never proof. Do not use it to grade, punish, hire or accuse.**

| | |
|---|---|
| reads with | ${model.repository}, \`${model.file}\`, commit \`${model.commit}\` |
| sha256 of the file | \`${model.sha256}\` |
| dtype and build of the figures | ${figures.dtype}, ${figures.simd} |
| head | 13 statistics of the likelihoods of tokens, standardized; linear support vector machine, C = ${figures.C}; Platt's probability |
| texts | ${counts.training} of news (XSum), stories (WritingPrompts) and answers on medicine (PubMedQA), half of them by machines, each cut to 160 words |
| data | the sets of Fast-DetectGPT (MIT) and of ChatGPT-Detector-Bias (MIT); digest of the list of digests \`${digestOf(digests)}\` |
| generators | davinci, GPT-3.5, GPT-4 and Claude 3 Opus; **nothing newer than ${head.date} was tested** |

White space, quotes, dashes, the words that a pair of texts shares at its start, and clean endings are taken out first, because in these
sets they tell humans and machines apart by accident. Folds, and the resampling of intervals, keep all texts about one article together, also
where the sets of two generators cut it at other lengths.

The thresholds are the scores that 1 % and 5 % of the human texts reach which no fit had seen, in the domain and at the length where they score
highest: whole texts, and cut to ${figures.judgedFrom} tokens, the fewest that are judged. So 1 % holds for each kind of text that is known, and not on average. Texts
that are shorter as a whole set no threshold. The statistics are standardized by the human texts that are long enough. The gate looks at what the score
does not explain of the statistics, so that a text is not kept out because it is clearly a machine's; it lets in 98.5 % of the texts of both kinds.

The penalty is chosen among ${figures.penalties.map(({ C }) => C).join(', ')} by training texts alone: heads are fitted without a domain, at the threshold of 1 % that
the others set; of the penalties whose worst domain has the fewest false alarms, or more by no more than the standard error, the one that catches most
machine texts there. For a domain that is held out of the table below, the rule sees the other two only. Shorter cuts of the texts were tried in the fit
and left out, because they made false alarms on short answers of a domain that is held out more frequent.

An earlier method, with one threshold for all domains and lengths and with a gate that counted the score itself, had 6 of the 46 TOEFL essays above the
threshold and kept half of the GPT-3.5 essays out. It was replaced for what it did to domains that were held out; but those figures were known
when it was. In brackets are 95 % intervals, by resampling articles.

## Figures

A domain that the head was not fitted, calibrated or chosen on:

${heldOut('domain', figures.heldOutDomains)}

PubMed's answers have ${figures.heldOutDomains.pubmed.lengths[0]} tokens in the median. They are held to the threshold that human texts of the other domains set when they are cut to that length; the
detector itself says \`uncertain\` of so short a text, and nothing is known of longer answers of that kind. The same at the 1 % setting, of the texts
that the detector would judge, of ${figures.judgedFrom} tokens or more:

${judged(figures.heldOutDomains)}

A generator that it was not fitted to, on other human texts than those of the fit:

${heldOut('generator', figures.heldOutGenerators)}

The texts of the fit, each scored by a head that had not seen it: AUROC ${inDomain.auroc.value}, caught at the 1 % setting
${(100 * inDomain.caught1.value).toFixed(1)} %.

**False alarms by kind of writer.** These texts trained, calibrated and chose nothing. The last two columns are of the detector as it answers: from
100 tokens on, in English, and where the text is like those of the fit.

${writers(figures.bias)}

## What it cannot know

- Who wrote a text. A person may write what a model finds easy to foresee: forms, reports, simple words in a learned language.
- Whether a machine helped. A text that was rewritten by a person, or by a machine that was asked for another style, is often missed: one request for
  "literary language" took such detectors from all to few of the texts.
- Other languages than English, texts under 100 tokens, and kinds of text far from those above: there it answers \`uncertain\`.
- Generators that came after ${head.date}. Their texts are harder to tell; the figures above say nothing about them.
- How often machines write where you use it. The probability is for as many machine texts as human ones.

With 99 human texts of your own kind or more, \`calibrate\` sets a threshold for them, and says what it is worth.

## Licence

The statistics are derived from sets under MIT. The code is MIT or Apache 2.0.
`;
}
