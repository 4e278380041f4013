import { Button } from '@mantine/core';

import { Meter } from '../../../parts/Meter';
import { StateBadge } from '../../../parts/StateBadge';
import type { StateWord } from '../../../parts/state';
import { words } from '../../../words/en';
import { bytes } from '../../../words/format';
import type { Uploading } from './useUploads';
import css from '../Objects.module.css';

const STATES: Record<Uploading['state'], StateWord> = {
  waits: { tone: 'unknown', word: words.objects.waits },
  runs: { tone: 'ok', word: words.objects.runs },
  done: { tone: 'ok', word: words.common.done },
  failed: { tone: 'critical', word: words.objects.failed },
};

interface Props {
  list: Uploading[];
  onRemove: (upload: Uploading) => void;
  onAgain: (id: number) => void;
}

/** What is on its way into the bucket. */
export function Uploads({ list, onRemove, onAgain }: Props) {
  if (list.length === 0) return null;
  return (
    <ul className={css.uploads} aria-label={words.objects.uploads}>
      {list.map((one) => (
        <li key={one.id} className={css.upload}>
          <span className="name">{one.key}</span>
          <StateBadge plain state={STATES[one.state]} />
          <Meter
            used={one.sent}
            total={Math.max(1, one.file.size)}
            label={words.resources.bytesOf(bytes(one.sent), bytes(one.file.size))}
          />
          <span className={css.buttons}>
            {one.state === 'failed' && (
              <Button size="compact-xs" variant="default" onClick={() => onAgain(one.id)}>
                {words.objects.goOn}
              </Button>
            )}
            <Button size="compact-xs" variant="default" onClick={() => onRemove(one)}>
              {one.state === 'done' ? words.common.close : words.objects.giveUp}
            </Button>
          </span>
          {one.problem !== undefined && one.state === 'failed' && (
            <p className={css.problem}>{one.problem}</p>
          )}
        </li>
      ))}
    </ul>
  );
}
