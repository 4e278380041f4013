import { useQuery } from '@tanstack/react-query';

import { keys } from '../../../api/keys';
import { runStatement } from './run';
import { schemaOf } from './tables';

const STATEMENT =
  'SELECT table_name, column_name, data_type FROM information_schema.columns ' +
  "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
const ROWS_MAX = 5_000;

/** What tables there are, as far as the asker may see them. */
export function useSchema(database: string) {
  return useQuery({
    queryKey: keys.schema(database),
    queryFn: async () => schemaOf(await runStatement(database, STATEMENT, 'fresh', ROWS_MAX)),
    retry: false,
  });
}
