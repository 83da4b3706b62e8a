import type { LoadPlan } from 'pilotlight';
import { megabytes } from '../page/format';
import { href } from '../page/routes';

/** The bytes that a load would download, store and need in memory, shown before it starts. */
export function PlanView({ plan }: { plan: LoadPlan | null }) {
  const figure = (bytes: number | undefined) => (bytes === undefined ? '–' : megabytes(bytes));
  return (
    <div className="plan">
      <dl aria-label="What loading takes">
        <div>
          <dt>To download</dt>
          <dd>{figure(plan?.fetchBytes)}</dd>
        </div>
        <div>
          <dt>{plan?.whole ? 'Stored' : 'To store'}</dt>
          <dd>{figure(plan?.storeBytes)}</dd>
        </div>
        <div>
          <dt>Already here</dt>
          <dd>{figure(plan?.cachedBytes)}</dd>
        </div>
        <div>
          <dt>Memory</dt>
          <dd>{plan ? about(plan.memoryBytes) : '–'}</dd>
        </div>
        {plan?.gpuBytes !== undefined && (
          <div>
            <dt>Memory of the GPU</dt>
            <dd>{about(plan.gpuBytes)}</dd>
          </div>
        )}
      </dl>
      <p className={plan && !plan.fits ? 'notice' : undefined} role="status">
        {verdict(plan)}
        {plan && !plan.fits && (
          <>
            {' '}
            <a href={href('/models')}>See what is stored</a>
          </>
        )}
      </p>
    </div>
  );
}

const about = (bytes: number): string => `about ${Math.round(bytes / 1e6)} MB`;

function verdict(plan: LoadPlan | null): string {
  if (plan && !plan.fits) return `It does not fit. ${plan.problem ?? ''}`;
  if (plan?.whole) return 'It is on this device: loading needs no network.';
  if (plan && plan.cachedBytes > 0) return 'It fits. A download broke off; loading goes on with what is here.';
  return plan ? 'It fits. Fetched once, then kept in this browser.' : 'Fetched once, then kept in this browser.';
}
