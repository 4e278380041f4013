import type { NodeKind } from '../../api/types';
import type { Resource } from '../../api/resources';
import { words } from '../../words/en';

export type TabName = keyof typeof words.resources.tabs;

const ELEMENTS: NodeKind[] = ['ce', 'se', 'de'];

/** Which parts the page of a resource has: what its kind has nothing of is not there. */
export function tabsOf(view: Resource): TabName[] {
  const { kind } = view.row;
  const tabs: TabName[] = ['state', 'info', 'policy', 'rules'];
  if (ELEMENTS.includes(kind)) tabs.push('hosts');
  if (kind === 'ce' || kind === 'chost') tabs.push('applications');
  if (kind === 'se') tabs.push('layout', 'heals');
  tabs.push('history', 'document');
  return tabs;
}
