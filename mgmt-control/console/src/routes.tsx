// Every address of the page. Filters and sorts live in the query string, so that an address can be
// sent to a colleague.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';

import type { ResourceQuery } from './api/resources';
import { SignInPage } from './session/SignInPage';
import { Crashed } from './shell/Crashed';
import { Guard } from './shell/Guard';
import { NotFound } from './shell/NotFound';
import { condition, flag, kind, parseSearch, resourceSort, stringifySearch, text } from './search';

const root = createRootRoute({ notFoundComponent: NotFound });

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { next?: string } => ({ next: text(search.next) }),
  component: SignInPage,
});

const shell = createRoute({
  getParentRoute: () => root,
  id: 'shell',
  component: Guard,
  notFoundComponent: NotFound,
});

const overview = createRoute({
  getParentRoute: () => shell,
  path: '/',
  component: lazyRouteComponent(() => import('./pages/overview/OverviewPage'), 'OverviewPage'),
});

const map = createRoute({
  getParentRoute: () => shell,
  path: '/map',
  component: lazyRouteComponent(() => import('./pages/map/MapPage'), 'MapPage'),
});

const resources = createRoute({
  getParentRoute: () => shell,
  path: '/resources',
  validateSearch: (search: Record<string, unknown>): ResourceQuery => ({
    search: text(search.search),
    kind: kind(search.kind),
    condition: condition(search.condition),
    element: text(search.element),
    sort: resourceSort(search.sort),
    descending: flag(search.descending),
  }),
  component: lazyRouteComponent(() => import('./pages/resources/ResourcesPage'), 'ResourcesPage'),
});

const resource = createRoute({
  getParentRoute: () => shell,
  path: '/resources/$id',
  component: lazyRouteComponent(() => import('./pages/resource/ResourcePage'), 'ResourcePage'),
});

const resourceTab = createRoute({
  getParentRoute: () => shell,
  path: '/resources/$id/$tab',
  component: lazyRouteComponent(() => import('./pages/resource/ResourcePage'), 'ResourcePage'),
});

const applications = createRoute({
  getParentRoute: () => shell,
  path: '/applications',
  component: lazyRouteComponent(() => import('./pages/applications/ApplicationsPage'), 'ApplicationsPage'),
});

const application = createRoute({
  getParentRoute: () => shell,
  path: '/applications/$name',
  validateSearch: (search: Record<string, unknown>): { version?: string } => ({
    version: text(search.version),
  }),
  component: lazyRouteComponent(() => import('./pages/applications/ApplicationPage'), 'ApplicationPage'),
});

const calls = createRoute({
  getParentRoute: () => shell,
  path: '/calls',
  validateSearch: (search: Record<string, unknown>): { application?: string } => ({
    application: text(search.application),
  }),
  component: lazyRouteComponent(() => import('./pages/calls/CallsPage'), 'CallsPage'),
});

const call = createRoute({
  getParentRoute: () => shell,
  path: '/calls/$id',
  component: lazyRouteComponent(() => import('./pages/calls/CallPage'), 'CallPage'),
});

const files = createRoute({
  getParentRoute: () => shell,
  path: '/files',
  component: lazyRouteComponent(() => import('./pages/files/FilesPage'), 'FilesPage'),
});

const bucket = createRoute({
  getParentRoute: () => shell,
  path: '/files/$bucket',
  validateSearch: (search: Record<string, unknown>): { element?: string; prefix?: string; key?: string } => ({
    element: text(search.element),
    prefix: text(search.prefix),
    key: text(search.key),
  }),
  component: lazyRouteComponent(() => import('./pages/files/BucketPage'), 'BucketPage'),
});

const data = createRoute({
  getParentRoute: () => shell,
  path: '/data',
  component: lazyRouteComponent(() => import('./pages/data/DataPage'), 'DataPage'),
});

const database = createRoute({
  getParentRoute: () => shell,
  path: '/data/$database',
  validateSearch: (search: Record<string, unknown>): { element?: string } => ({
    element: text(search.element),
  }),
  component: lazyRouteComponent(() => import('./pages/data/DatabasePage'), 'DatabasePage'),
});

const people = createRoute({
  getParentRoute: () => shell,
  path: '/people',
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
  component: lazyRouteComponent(() => import('./pages/people/PeoplePage'), 'PeoplePage'),
});

const audit = createRoute({
  getParentRoute: () => shell,
  path: '/audit',
  component: lazyRouteComponent(() => import('./pages/audit/AuditPage'), 'AuditPage'),
});

const nothing = createRoute({ getParentRoute: () => shell, path: '$', component: NotFound });

const tree = root.addChildren([
  signIn,
  shell.addChildren([
    overview,
    map,
    resources,
    resource,
    resourceTab,
    applications,
    application,
    calls,
    call,
    files,
    bucket,
    data,
    database,
    people,
    audit,
    nothing,
  ]),
]);

export function makeRouter() {
  return createRouter({
    routeTree: tree,
    defaultPreload: 'intent',
    defaultErrorComponent: Crashed,
    parseSearch,
    stringifySearch,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
