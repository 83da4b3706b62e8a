import type { Problem } from '../engine/problem';

/** Puts a failure of the generator or the judge into words. It goes by the code, because each script of the package has an error class of its own. */
export function digitProblem(error: unknown): Problem {
  const detail = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
  if (!navigator.onLine) {
    return {
      code,
      detail,
      title: 'You are offline',
      advice:
        'This browser does not have all files of this page yet. Connect once to fetch them; after that the page works without the network.',
      remedies: ['retry'],
    };
  }
  if (code === 'INTERNAL' || code === 'DISPOSED') {
    return {
      code,
      detail,
      title: 'Something broke inside Pilotlight',
      advice: 'Try again; if that does not help, reload the page. A bug report with the diagnostics below helps us.',
      remedies: ['retry', 'reload'],
    };
  }
  return {
    code,
    detail,
    title: 'The networks of this page could not be loaded',
    advice: 'They are files of this page itself. Check your connection and try again, or reload the page.',
    remedies: ['retry', 'reload'],
  };
}
