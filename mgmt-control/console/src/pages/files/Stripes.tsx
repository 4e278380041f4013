import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { StripeRow } from '../../api/types';
import { Loaded } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { ResourceName } from '../../parts/ResourceName';
import { words } from '../../words/en';
import { bytes } from '../../words/format';
import css from './Objects.module.css';

const STRIPES = 16;

interface Block {
  position: number;
  kind: 'data' | 'parity' | 'missing';
  host: string | undefined;
  name: string | undefined;
}

/** All blocks that a stripe should have, those that are not there included. */
export function blocksOf({ blocks, blocks_wanted, blocks_needed }: StripeRow): Block[] {
  return Array.from({ length: blocks_wanted }, (_, position): Block => {
    const there = blocks.find((block) => block.position === position);
    if (!there) return { position, kind: 'missing', host: undefined, name: undefined };
    const kind = position < blocks_needed ? 'data' : 'parity';
    return { position, kind, host: there.host, name: there.host_name };
  });
}

/** An object drawn as its stripes, and each as its blocks on their Hosts. */
export function Stripes({ bucket, objectKey: key }: { bucket: string; objectKey: string }) {
  const query = useInfiniteQuery({
    queryKey: keys.stripes(bucket, key),
    queryFn: ({ pageParam, signal }) =>
      ask(
        api.GET('/api/v1/console/buckets/{bucket}/object', {
          params: { path: { bucket }, query: { key, from: pageParam, stripes: STRIPES } },
          signal,
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next ?? undefined,
  });
  return (
    <Section title={words.objects.stripes}>
      <Loaded query={query}>
        {({ pages }) => (
          <ol className={css.stripes}>
            {pages
              .flatMap(({ stripes }) => stripes)
              .map((stripe) => (
                <li key={stripe.start} className={css.stripe}>
                  <span>
                    {words.objects.stripe(bytes(stripe.start), bytes(stripe.start + stripe.size))}
                    <br />
                    <code className="soft">{stripe.redundancy}</code>
                  </span>
                  <ul className={css.blocks}>
                    {blocksOf(stripe).map((block) => (
                      <li key={block.position} className={css.block} data-kind={block.kind}>
                        <span>{words.objects.kinds[block.kind]}</span>
                        {block.host !== undefined && <ResourceName id={block.host} name={block.name} />}
                      </li>
                    ))}
                  </ul>
                </li>
              ))}
          </ol>
        )}
      </Loaded>
      {query.hasNextPage && (
        <div>
          <Button
            variant="default"
            loading={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {words.common.more}
          </Button>
        </div>
      )}
    </Section>
  );
}
