import type { IconName } from '../parts/Icon';
import { words } from '../words/en';

export interface PageLink {
  to: string;
  icon: IconName;
  word: string;
  /** The action of the authorization table without which the page has nothing to show. */
  needs: string;
}

export const PAGES: PageLink[] = [
  { to: '/', icon: 'overview', word: words.pages.overview, needs: 'OverviewView' },
  { to: '/map', icon: 'map', word: words.pages.map, needs: 'TopologyView' },
  { to: '/resources', icon: 'resources', word: words.pages.resources, needs: 'ResourceList' },
  { to: '/applications', icon: 'applications', word: words.pages.applications, needs: 'ApplicationList' },
  { to: '/calls', icon: 'calls', word: words.pages.calls, needs: 'CallList' },
  { to: '/files', icon: 'files', word: words.pages.files, needs: 'BucketList' },
  { to: '/data', icon: 'data', word: words.pages.data, needs: 'DatabaseList' },
  { to: '/people', icon: 'people', word: words.pages.people, needs: 'ApiTokenList' },
  { to: '/audit', icon: 'audit', word: words.pages.audit, needs: 'AuditList' },
];
