//! A transaction as its program knows it, at whichever door: from its begin to its end,
//! with savepoints, and what it has made of the schema.
//!
//! A core has one writer, so a block takes it no earlier than it needs to: with its first
//! write, or at once where it has to see one state of the database all along and may
//! write. Until then each of its reads is one of its own, as READ COMMITTED has it, and
//! may be answered by a shadow. One that only reads, and has to see one state, has a view
//! of the core, which keeps nobody else waiting.

use std::sync::Arc;

use gridmart_schemas::{
    data::Position,
    id::{DatabaseId, PersonName},
    problem::Problem,
    wire::{data::SqlFault, replica::TransactionAct},
};

use super::{
    De,
    schemas::Known,
    sql::SchemaChange,
    statement::began,
    transaction::{Ill, Modes, OpenTransaction},
};

/// Savepoints of a block; a Host has the same bound.
const SAVEPOINTS_MAX: usize = 256;

/// See the module. Whoever gives it up without an end has it taken back (`abandon`).
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Block {
    database: DatabaseId,
    person: PersonName,
    /// On the core's Host, once it has begun there.
    pub(super) open: Option<OpenTransaction>,
    pub(super) is_read_only: bool,
    /// It sees one state of the database all along.
    pub(super) is_strict: bool,
    pub(super) has_failed: bool,
    /// The schema as the block has made it.
    pub(super) schema: Option<Arc<Known>>,
    /// Whether anything was asked in it.
    pub(super) is_used: bool,
    /// Savepoints, and the schema as it was then.
    savepoints: Vec<(String, Option<Arc<Known>>)>,
    /// When it began, in the stored form of a timestamptz.
    pub(super) began: String,
}

impl Block {
    pub(super) fn new(
        (database, person): (DatabaseId, PersonName),
        is_read_only: bool,
        is_strict: bool,
    ) -> Self {
        Self {
            database,
            person,
            open: None,
            is_read_only,
            is_strict,
            has_failed: false,
            schema: None,
            is_used: false,
            savepoints: Vec::new(),
            began: began(),
        }
    }

    /// Refuses what a failed block does not do any more.
    pub(super) fn require_unfailed(&self) -> Result<(), SqlFault> {
        if self.has_failed {
            let message = "current transaction is aborted, commands ignored until end of \
                           transaction block";
            return Err(fault("25P02", message));
        }
        Ok(())
    }

    /// Has it as its next statement needs it.
    pub(super) async fn prepare(&mut self, de: &Arc<De>, is_read: bool) -> Result<(), Ill> {
        self.is_used = true;
        if !is_read && self.is_read_only {
            return Err(Ill::Fault(read_only()));
        }
        if (!is_read || self.is_strict) && self.open.is_none() {
            self.open = Some(self.begin_there(de).await?);
        }
        Ok(())
    }

    /// Begins it on the core's Host.
    async fn begin_there(&self, de: &Arc<De>) -> Result<OpenTransaction, Ill> {
        let modes = Modes {
            is_read_only: self.is_read_only,
            is_strict: self.is_strict,
        };
        let begun = de.transaction_begin(self.database, &self.person, modes);
        let open = begun.await?;
        for (name, _) in &self.savepoints {
            let set = open.control(TransactionAct::Savepoint(name.clone())).await;
            if let Err(error) = set {
                open.abandon().await;
                return Err(error);
            }
        }
        Ok(open)
    }

    /// Makes it durable; its position, if it has written. One that has failed is taken
    /// back, which is told.
    pub(super) async fn commit(self, de: &Arc<De>) -> Result<Committed, Ill> {
        if self.has_failed {
            self.abandon().await;
            return Ok(Committed::TakenBack);
        }
        let Some(open) = self.open else {
            return Ok(Committed::At(None));
        };
        let committed = de.transaction_commit(self.database, &open).await;
        if committed.is_err() {
            open.abandon().await;
        }
        if self.schema.is_some() {
            de.schema_changed(self.database);
        }
        committed.map(Committed::At)
    }

    /// Takes it back.
    pub(super) async fn abandon(self) {
        if let Some(open) = self.open {
            open.abandon().await;
        }
    }

    pub(super) async fn savepoint(&mut self, name: String) -> Result<(), Ill> {
        self.require_unfailed().map_err(Ill::Fault)?;
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a transaction may have {SAVEPOINTS_MAX} savepoints");
            return Err(Ill::Fault(fault("54000", message)));
        }
        if let Some(open) = &self.open {
            open.control(TransactionAct::Savepoint(name.clone()))
                .await?;
        }
        self.savepoints.push((name, self.schema.clone()));
        Ok(())
    }

    pub(super) async fn release(&mut self, name: String) -> Result<(), Ill> {
        self.require_unfailed().map_err(Ill::Fault)?;
        let depth = self.depth(&name)?;
        if let Some(open) = &self.open {
            open.control(TransactionAct::Release(name)).await?;
        }
        self.savepoints.truncate(depth);
        Ok(())
    }

    pub(super) async fn rollback_to(&mut self, name: String) -> Result<(), Ill> {
        let depth = self.depth(&name)?;
        if let Some(open) = &self.open {
            open.control(TransactionAct::RollbackTo(name)).await?;
        }
        self.savepoints.truncate(depth + 1);
        let last = self.savepoints.last();
        self.schema = last.and_then(|(_, schema)| schema.clone());
        self.has_failed = false;
        Ok(())
    }

    /// The schema as the block sees it.
    pub(super) async fn schema_now(&self, de: &Arc<De>) -> Result<Arc<Known>, Problem> {
        match &self.schema {
            Some(schema) => Ok(Arc::clone(schema)),
            None => de.schema(self.database, &de.database(self.database)?).await,
        }
    }

    /// The block has changed the schema: what follows in it is judged against that.
    pub(super) async fn schema_changed(
        &mut self,
        de: &Arc<De>,
        change: SchemaChange,
    ) -> Result<(), Problem> {
        let present = self.schema_now(de).await?;
        self.schema = Some(Arc::new(present.changed(change)));
        Ok(())
    }

    fn depth(&self, name: &str) -> Result<usize, Ill> {
        let depth = self.savepoints.iter().rposition(|(set, _)| set == name);
        depth.ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            let message = format!("savepoint \"{shown}\" does not exist");
            Ill::Fault(fault("3B001", message))
        })
    }
}

/// What a commit came to.
pub(super) enum Committed {
    /// It is durable; where, if it has written.
    At(Option<Position>),
    /// It had failed.
    TakenBack,
}

/// Refuses a write where none may be.
pub(super) fn read_only() -> SqlFault {
    fault("25006", "cannot write in a read-only transaction")
}

fn fault(state: &str, message: impl Into<String>) -> SqlFault {
    SqlFault {
        state: state.to_owned(),
        message: message.into(),
        position: None,
    }
}
