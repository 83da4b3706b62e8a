/** A page of the app: its address after the `#`, its name, and the target of its skip link. */
interface Route {
  path: `/${string}`;
  label: string;
  title: string;
  /** The id of the element that the skip link leads to, and the words of that link. */
  anchor: string;
  skip: string;
}

/** All pages, in the order of the navigation. A page that is added here needs its view in `App`. */
export const routes = [
  {
    path: '/',
    label: 'Search',
    title: 'Pilotlight: search by meaning, inside this tab',
    anchor: 'search',
    skip: 'Skip to the search',
  },
  {
    path: '/route',
    label: 'Route',
    title: 'Pilotlight: requests sorted by what they ask for, inside this tab',
    anchor: 'route-learn',
    skip: 'Skip to the examples',
  },
  {
    path: '/detect',
    label: 'Detect',
    title: 'Pilotlight: signs of a machine’s text, weighed inside this tab',
    anchor: 'detect-text',
    skip: 'Skip to the text',
  },
  {
    path: '/models',
    label: 'Models',
    title: 'Pilotlight: models on this device',
    anchor: 'stored-models',
    skip: 'Skip to the models',
  },
  {
    path: '/digits',
    label: 'Digits',
    title: 'Pilotlight: handwritten digits, made in this tab',
    anchor: 'digits-text',
    skip: 'Skip to the digits',
  },
  {
    path: '/images',
    label: 'Images',
    title: 'Pilotlight: an image library, searched inside this tab',
    anchor: 'images-search',
    skip: 'Skip to the search',
  },
] as const satisfies readonly Route[];

export type Path = (typeof routes)[number]['path'];

export const href = (path: Path): string => `#${path}`;

/** Addresses that pages had in earlier versions, which bookmarks may still hold, and the page that each leads to. */
export const formerAddresses: Readonly<Record<string, Path>> = { '#/pictures': '/images' };

/** The page that an address names, by its path, its anchor or a former address; an unknown address names the first page. */
export function routeOf(hash: string): (typeof routes)[number] {
  const former = formerAddresses[hash];
  return (
    routes.find(({ path, anchor }) => path === former || hash === href(path) || hash === `#${anchor}`) ?? routes[0]
  );
}
