import { PilotlightError } from 'pilotlight';
import { megabytes } from '../page/format';
import type { Choice } from './choice';

/** An action that the page offers against a failure. */
export type Remedy = 'retry' | 'without-store' | 'models' | 'on-cpu' | 'settings' | 'reload';

/** A failure in words: what happened, what to do, and the library's own message. */
export interface Problem {
  code: string;
  title: string;
  advice: string;
  detail: string;
  remedies: Remedy[];
  /** Whether the visitor caused it on purpose, so that it is shown without alarm. */
  calm?: boolean;
}

type Words = Omit<Problem, 'code' | 'detail'>;

/** Puts a failed load into words for the visitor. */
export function describeProblem(error: unknown, choice: Choice): Problem {
  const known = error instanceof PilotlightError ? error : undefined;
  const detail = error instanceof Error ? error.message : String(error);
  return { code: known?.code ?? 'UNKNOWN', detail, ...words(known, choice) };
}

function words(error: PilotlightError | undefined, choice: Choice): Words {
  switch (error?.code) {
    case 'ABORTED':
      return {
        title: 'Loading was cancelled',
        advice: 'What arrived is kept: the next load goes on with it, whenever you like.',
        remedies: ['retry', 'settings'],
        calm: true,
      };
    case 'FETCH_FAILED':
      return fetchFailed(error, choice);
    case 'QUOTA_EXCEEDED':
      return outOfSpace(error);
    case 'INVALID_WEIGHTS':
    case 'INTEGRITY':
      return {
        title: 'The model’s files are damaged',
        advice:
          'What arrived is not a whole, valid model, so nothing was kept. Try again, or take the model from another host.',
        remedies: ['retry', 'settings'],
      };
    case 'RESOURCE_LIMIT':
      return {
        title: 'There is not enough memory',
        advice: 'Close other tabs, or take the q8 weights, which need a quarter of the space.',
        remedies: ['retry', 'settings'],
      };
    case 'BACKEND_UNAVAILABLE':
      return {
        title: `${choice.device === 'webgpu' ? 'WebGPU' : 'The chosen device'} does not work here`,
        advice: 'The CPU gives the same results and runs everywhere.',
        remedies: ['on-cpu', 'settings'],
      };
    case 'UNSUPPORTED_MODEL':
      return {
        title: 'This model is of a kind that Pilotlight cannot run',
        advice: 'This page runs BERT-type sentence encoders, such as sentence-transformers/all-MiniLM-L6-v2.',
        remedies: ['settings'],
      };
    case 'INVALID_INPUT':
      return {
        title: 'Something in the settings is not valid',
        advice: 'Check the name of the model (owner/name) and the address of the host.',
        remedies: ['settings', 'retry'],
      };
    case 'INTERNAL':
      return {
        title: 'Something broke inside Pilotlight',
        advice:
          'The model cannot go on in this tab. Reload the page; your stored model is not lost. A bug report with the diagnostics below helps us.',
        remedies: ['reload'],
      };
    default:
      return {
        title: 'The page could not go on',
        advice: 'Reload the page and try again.',
        remedies: ['retry', 'reload'],
      };
  }
}

function fetchFailed({ reason, status = 0 }: PilotlightError, choice: Choice): Words {
  if (!navigator.onLine) {
    return {
      title: 'You are offline',
      advice:
        'This browser does not have this model yet. Connect once to fetch it; after that it works without the network.',
      remedies: ['retry', 'settings'],
    };
  }
  if (reason === 'gated') {
    return {
      title: 'The model has terms to accept',
      advice: `${choice.host} gives “${choice.model}” only to those who accepted its terms. Choose another model, or accept them there and serve its files from a host of your own.`,
      remedies: ['settings', 'retry'],
    };
  }
  if ([401, 403, 404].includes(status)) {
    return {
      title: 'The host does not have this model',
      advice: `Check the name “${choice.model}”, and whether ${choice.host} is the right host for it.`,
      remedies: ['settings', 'retry'],
    };
  }
  if (reason === 'html') {
    return {
      title: 'The host answered with a web page',
      advice:
        'Either the address is not that of a model host, or a network sign-in page is in the way. Check both and try again.',
      remedies: ['retry', 'settings'],
    };
  }
  if (reason === 'unreachable') {
    return {
      title: 'The model host could not be reached',
      advice: `There is no answer from ${choice.host}. Check your connection and the address, then try again.`,
      remedies: ['retry', 'settings'],
    };
  }
  return {
    title: 'The model could not be fetched',
    advice:
      'The host refused, or the connection broke off on the way. What arrived is kept: try again in a moment, and it goes on with that.',
    remedies: ['retry', 'settings'],
  };
}

function outOfSpace({ needed, available }: PilotlightError): Words {
  // Some browsers report more free space than they allow to be used.
  const left =
    available === undefined || (needed !== undefined && available >= needed)
      ? 'more than this browser gives'
      : `and ${megabytes(available)} are left`;
  const figures = needed ? `It takes ${megabytes(needed)}, ${left}. ` : '';
  return {
    title: 'This browser has no space for the model',
    advice: `${figures}Delete models that you no longer need, or free some disk space, and try again. Or load the model without keeping it: then each visit fetches it anew.`,
    remedies: ['retry', 'models', 'without-store'],
  };
}

/** Whether an error leaves the model unusable, and not just one call failed. */
export function isFatal(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['INTERNAL', 'DISPOSED', 'BACKEND_UNAVAILABLE'].includes(String(error.code))
  );
}

/** The message of an error as a sentence; the place of an image in its call is left out. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message.replace(/^images\[\d+\]: /, '') : String(error);
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`.replace(/\.?$/, '.');
}
