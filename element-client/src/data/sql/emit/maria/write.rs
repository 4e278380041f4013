//! INSERT, UPDATE, DELETE, where MariaDB's differ.

use super::super::{
    super::{
        catalog::Table,
        tree::{Insert, RelationId},
    },
    Emitter,
};

impl Emitter {
    /// What has to be known before an INSERT is written.
    pub(in crate::data::sql::emit) fn maria_insert(&mut self, insert: &Insert) {
        if insert.conflict.is_some() {
            // ON DUPLICATE KEY asks every key, and counts other rows.
            self.refuse("ON CONFLICT");
        }
        let shapes = self.shapes_of(&insert.source);
        self.source_known(insert.source_id, shapes);
        self.target_known(&insert.table, insert.target);
    }

    /// What has to be known before an UPDATE or DELETE is written.
    pub(in crate::data::sql::emit) fn maria_target(&mut self, table: &Table, target: RelationId) {
        self.target_known(table, target);
    }

    /// How a DELETE names its table: MariaDB gives it no other name.
    pub(in crate::data::sql::emit) fn maria_delete_alias(
        &mut self,
        table: &Table,
        target: RelationId,
    ) {
        let digits =
            |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let ours = matches!(&*table.name, "g" | "o" | "q" | "s")
            || table.name.strip_prefix(['t', 'w']).is_some_and(digits);
        if ours {
            // A sub-query could take it for one of its own.
            self.refuse("DELETE from a table of this name");
        }
        let quoted = format!("\"{}\"", table.name.replace('"', "\"\""));
        self.aliases.insert(target, quoted);
    }
}
