import type { UseQueryResult } from '@tanstack/react-query';

import { Loaded } from '../../../parts/ListState';
import { words } from '../../../words/en';
import type { Schema } from './tables';
import css from './Sql.module.css';

/** Which tables there are, and their columns. */
export function SchemaList({ schema }: { schema: UseQueryResult<Schema> }) {
  return (
    <div className={css.schema}>
      <h3 className={css.heading}>{words.sql.tables}</h3>
      <Loaded query={schema}>
        {(tables) =>
          Object.keys(tables).length === 0 ? (
            <p className="soft">{words.sql.noTables}</p>
          ) : (
            Object.entries(tables).map(([table, columns]) => (
              <details key={table} className={css.table}>
                <summary className="name">{table}</summary>
                <ul>
                  {columns.map(({ name, type }) => (
                    <li key={name} className={css.column}>
                      <span className="name">{name}</span> <span className="soft">{type}</span>
                    </li>
                  ))}
                </ul>
              </details>
            ))
          )
        }
      </Loaded>
    </div>
  );
}
