import { Facts, type Fact } from '../../parts/Facts';
import { ResourceName } from '../../parts/ResourceName';
import { Ago } from '../../parts/Time';
import { describe } from './describe';

/** A group of a description. */
export function DescribedGroup({ group }: { group: unknown }) {
  const facts: Fact[] = describe(group).map(({ label, value }) => {
    if (typeof value === 'string') return { label, value: <span className="name">{value}</span> };
    if ('time' in value) return { label, value: <Ago time={value.time} /> };
    return { label, value: <ResourceName id={value.link} /> };
  });
  return <Facts facts={facts} />;
}
