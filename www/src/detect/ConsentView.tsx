import { hostName } from '../engine/choice';
import { megabytes } from '../page/format';
import { PlanView } from '../setup/PlanView';
import type { Question } from './consent';

interface Props {
  question: Question;
  host: string;
  onRefuse: () => void;
}

/** The question whether to fetch the model, with its download and memory. */
export function ConsentView({ question, host, onRefuse }: Props) {
  const { plan } = question;
  return (
    <div className="detect-consent">
      <h2>Fetch the model from {hostName(host)}?</h2>
      <PlanView plan={plan} />
      <p className="detect-fine">
        {plan.files.map(({ path }) => path).join(', ')}
        {plan.commit && ` at commit ${plan.commit.slice(0, 7)}`}. Texts are read on this device; none is sent.
      </p>
      <div className="setup-actions">
        <button type="button" className="button primary" onClick={() => question.answer(true)}>
          Fetch {megabytes(plan.fetchBytes)}
        </button>
        <button type="button" className="button" onClick={onRefuse}>
          Not now
        </button>
      </div>
    </div>
  );
}
