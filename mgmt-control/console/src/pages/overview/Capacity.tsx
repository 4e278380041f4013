import type { OverviewView } from '../../api/types';
import { Facts, type Fact } from '../../parts/Facts';
import { Meter } from '../../parts/Meter';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { StateBadge } from '../../parts/StateBadge';
import { words } from '../../words/en';
import { bytes, count, plural } from '../../words/format';
import css from './Overview.module.css';

/** What there is, and how much of it is in use. */
export function Capacity({ overview }: { overview: OverviewView }) {
  const has = (...kinds: string[]) => overview.kinds.some(({ kind }) => kinds.includes(kind));
  return (
    <div className={css.capacity}>
      {has('ce', 'chost') && (
        <Section title={words.overview.compute}>
          <Facts facts={computeFacts(overview.compute)} />
        </Section>
      )}
      {has('se', 'shost') && (
        <Section title={words.overview.storage}>
          <Facts facts={storageFacts(overview.storage)} />
        </Section>
      )}
      {has('de', 'dhost') && (
        <Section title={words.overview.databases}>
          <Facts facts={dataFacts(overview.data)} />
        </Section>
      )}
    </div>
  );
}

function bytesMeter(used: number, total: number) {
  return <Meter used={used} total={total} label={words.resources.bytesOf(bytes(used), bytes(total))} />;
}

function computeFacts({
  total_slots,
  used_slots,
  cpus,
  load,
  memory_bytes,
  memory_free_bytes,
}: OverviewView['compute']): Fact[] {
  return [
    {
      label: words.overview.slots,
      value: (
        <Meter
          used={used_slots}
          total={total_slots}
          label={words.resources.slotsOf(used_slots, total_slots)}
        />
      ),
    },
    {
      label: words.overview.cpus,
      value: <Meter used={load} total={cpus} label={words.overview.loadOf(load.toFixed(1), cpus)} />,
    },
    { label: words.overview.memory, value: bytesMeter(memory_bytes - memory_free_bytes, memory_bytes) },
  ];
}

function storageFacts(sums: OverviewView['storage']): Fact[] {
  const facts: Fact[] = [
    { label: words.overview.capacityBytes, value: bytesMeter(sums.used_bytes, sums.total_bytes) },
    {
      label: words.overview.disks,
      value: bytesMeter(sums.raw_total_bytes - sums.raw_free_bytes, sums.raw_total_bytes),
    },
    { label: words.overview.objects, value: count(sums.objects) },
    { label: words.overview.redundancy, value: <Redundancy sums={sums} /> },
  ];
  if (sums.damaged_blocks > 0) {
    const word = plural(sums.damaged_blocks, 'block');
    facts.push({ label: words.overview.damaged, value: <StateBadge state={{ tone: 'warning', word }} /> });
  }
  return facts;
}

function Redundancy({ sums }: { sums: OverviewView['storage'] }) {
  const { elements_critical, elements_degraded, elements_whole } = sums;
  return (
    <span className={css.counts}>
      {elements_critical > 0 && (
        <StateBadge
          plain
          state={{ tone: 'critical', word: words.overview.critical(plural(elements_critical, 'Element')) }}
        />
      )}
      {elements_degraded > 0 && (
        <StateBadge
          plain
          state={{ tone: 'warning', word: words.overview.degraded(plural(elements_degraded, 'Element')) }}
        />
      )}
      {elements_whole > 0 && (
        <StateBadge
          plain
          state={{ tone: 'ok', word: words.overview.whole(plural(elements_whole, 'Element')) }}
        />
      )}
    </span>
  );
}

function dataFacts(sums: OverviewView['data']): Fact[] {
  const level = sums.shadows - sums.shadows_behind;
  const lag = sums.worst_lag;
  return [
    { label: words.overview.databases, value: count(sums.databases) },
    {
      label: words.data.shadows,
      value:
        sums.shadows === 0 ? (
          words.common.none
        ) : (
          <StateBadge
            plain
            state={{
              tone: sums.shadows_behind === 0 ? 'ok' : 'warning',
              word: words.data.fresh(level, sums.shadows),
            }}
          />
        ),
    },
    ...(lag
      ? [
          {
            label: words.overview.worstLag,
            value: (
              <>
                {words.data.behind(lag.entries)}, <ResourceName id={lag.host.id} name={lag.host.name} />
              </>
            ),
          },
        ]
      : []),
    { label: words.data.sessions, value: count(sums.sessions) },
    { label: words.overview.statements, value: words.overview.statementsNow(sums.running, sums.waiting) },
    { label: words.overview.capacityBytes, value: bytesMeter(sums.used_bytes, sums.total_bytes) },
  ];
}
