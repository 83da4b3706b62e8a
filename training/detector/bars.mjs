/** The figures that a head must reach before it replaces another. */

/** The bars that figures fall short of, as sentences; none where all are reached. */
export function fallen({ heldOutDomains, bias }, bars) {
  const list = [];
  for (const [domain, bar] of Object.entries(bars.aurocHeldOutDomain)) {
    const { value } = heldOutDomains[domain].auroc;
    // A figure that is no number reaches no bar.
    if (!(value >= bar)) list.push(`AUROC on ${domain}, held out: ${value}, the bar is ${bar} at least`);
  }
  for (const [domain, { falseAlarms1 }] of Object.entries(heldOutDomains))
    if (!(falseAlarms1.value <= bars.falseAlarmsHeldOutDomain))
      list.push(
        `false alarms on ${domain}, held out, at the 1 % setting: ${falseAlarms1.value}, the bar is ${bars.falseAlarmsHeldOutDomain} at most`,
      );
  const { toefl_human: toefl, college_gpt35: essays } = bias;
  if (!(toefl.above1 <= bars.toeflAbove))
    list.push(
      `TOEFL essays above the 1 % threshold: ${toefl.above1} of ${toefl.texts}, the bar is ${bars.toeflAbove} at most`,
    );
  if (!(essays.above1 >= bars.essaysAbove))
    list.push(
      `GPT-3.5 essays above the 1 % threshold: ${essays.above1} of ${essays.texts}, the bar is ${bars.essaysAbove} at least`,
    );
  return list;
}
