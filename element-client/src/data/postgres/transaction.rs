//! Transactions of a session: BEGIN, savepoints, COMMIT.
//!
//! A core has one writer, so a block takes it no earlier than it needs to: with its first
//! write, or at once where it has to see one state of the database all along. Until then
//! each of its reads is one of its own, as READ COMMITTED has it, and may be answered by
//! a shadow.

use std::sync::Arc;

use gridmart_schemas::wire::replica::TransactionAct;

use super::{
    session::{Session, fault_of},
    wire::backend::{Fault, Standing},
};
use crate::data::{
    schemas::Known,
    sql::{SchemaChange, Transaction},
    transaction::{Ill, OpenTransaction},
};

/// Savepoints of a block; a Host has the same bound.
const SAVEPOINTS_MAX: usize = 256;

/// A transaction as its client knows it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Block {
    /// On the core's Host, once it has begun there.
    pub(super) open: Option<OpenTransaction>,
    pub(super) is_read_only: bool,
    pub(super) is_strict: bool,
    pub(super) has_failed: bool,
    /// The schema as the block has made it.
    pub(super) schema: Option<Arc<Known>>,
    /// Whether anything was asked in it.
    pub(super) is_used: bool,
    /// Savepoints, and the schema as it was then.
    savepoints: Vec<(String, Option<Arc<Known>>)>,
    /// Settings that hold until its end, and what they were given as before.
    pub(super) locals: Vec<(&'static str, Option<String>)>,
    /// When it began, in the stored form of a timestamptz.
    pub(super) began: String,
}

impl Session {
    /// How its transaction stands.
    pub(super) fn standing(&self) -> Standing {
        match &self.block {
            None => Standing::Idle,
            Some(block) if block.has_failed => Standing::Failed,
            Some(_) => Standing::Open,
        }
    }

    /// Something failed: the block, if there is one, has.
    pub(super) fn fail(&mut self) {
        if let Some(block) = &mut self.block {
            block.has_failed = true;
        }
    }

    /// Refuses what a failed block does not do any more.
    pub(super) fn require_unfailed(&self) -> Result<(), Fault> {
        if self.block.as_ref().is_some_and(|block| block.has_failed) {
            let message = "current transaction is aborted, commands ignored until end of \
                           transaction block";
            return Err(Fault::new("25P02", message));
        }
        Ok(())
    }

    /// Does what a statement about the transaction says; gives its tag, and a warning.
    pub(super) async fn control(
        &mut self,
        control: Transaction,
    ) -> Result<(&'static str, Option<Fault>), Fault> {
        match control {
            Transaction::Begin { read_only, strict } => {
                self.require_unfailed()?;
                if self.block.is_some() {
                    let warning = "there is already a transaction in progress";
                    return Ok(("BEGIN", Some(Fault::new("25001", warning))));
                }
                self.begin(read_only, strict);
                Ok(("BEGIN", None))
            }
            Transaction::Commit => self.end(true).await,
            Transaction::Rollback => self.end(false).await,
            Transaction::Savepoint(name) => {
                self.savepoint(name).await.map(|()| ("SAVEPOINT", None))
            }
            Transaction::Release(name) => self.release(name).await.map(|()| ("RELEASE", None)),
            Transaction::RollbackTo(name) => {
                self.rollback_to(name).await.map(|()| ("ROLLBACK", None))
            }
        }
    }

    fn begin(&mut self, read_only: Option<bool>, strict: Option<bool>) {
        let settings = &self.settings;
        let is_strict = strict.unwrap_or_else(|| {
            matches!(
                settings.get("default_transaction_isolation"),
                "repeatable read" | "serializable"
            )
        });
        let block = Block {
            open: None,
            is_read_only: read_only
                .unwrap_or_else(|| settings.is_on("default_transaction_read_only")),
            is_strict,
            has_failed: false,
            schema: None,
            is_used: false,
            savepoints: Vec::new(),
            locals: Vec::new(),
            began: crate::data::statement::began(),
        };
        self.block = Some(block);
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION
    pub(super) fn modes_of_session(&mut self, read_only: Option<bool>, strict: Option<bool>) {
        if let Some(strict) = strict {
            let level = if strict {
                "serializable"
            } else {
                "read committed"
            };
            let name = "default_transaction_isolation";
            self.settings.set(name, Some(level.to_owned()));
        }
        if let Some(read_only) = read_only {
            let value = if read_only { "on" } else { "off" };
            let name = "default_transaction_read_only";
            self.settings.set(name, Some(value.to_owned()));
        }
    }

    /// SET TRANSACTION; gives a warning.
    pub(super) fn modes_of_block(
        &mut self,
        read_only: Option<bool>,
        strict: Option<bool>,
    ) -> Result<Option<Fault>, Fault> {
        let Some(block) = &mut self.block else {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            return Ok(Some(Fault::new("25P01", message)));
        };
        if block.is_used && strict.is_some_and(|strict| strict != block.is_strict) {
            let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
            return Err(Fault::new("25001", message));
        }
        block.is_strict = strict.unwrap_or(block.is_strict);
        block.is_read_only = read_only.unwrap_or(block.is_read_only);
        Ok(None)
    }

    /// Begins the block on the core's Host, if it has to and has not.
    pub(super) async fn begin_there(&mut self) -> Result<(), Fault> {
        let Some(block) = &mut self.block else {
            return Ok(());
        };
        if block.open.is_some() {
            return Ok(());
        }
        let begun = self.de.transaction_begin(self.database, &self.person).await;
        let open = begun.map_err(ill)?;
        for (name, _) in &block.savepoints {
            let set = open.control(TransactionAct::Savepoint(name.clone())).await;
            if let Err(error) = set {
                open.abandon().await;
                return Err(ill(error));
            }
        }
        block.open = Some(open);
        Ok(())
    }

    /// Ends the block. One that has failed is taken back whatever was said.
    async fn end(&mut self, commit: bool) -> Result<(&'static str, Option<Fault>), Fault> {
        self.close_portals().await;
        let Some(block) = self.block.take() else {
            let tag = if commit { "COMMIT" } else { "ROLLBACK" };
            let warning = Fault::new("25P01", "there is no transaction in progress");
            return Ok((tag, Some(warning)));
        };
        for (name, value) in block.locals.iter().rev() {
            self.settings.set(name, value.clone());
        }
        let has_new_schema = block.schema.is_some();
        let tag = if commit && !block.has_failed {
            if let Some(open) = block.open {
                let committed = self.de.transaction_commit(self.database, &open).await;
                if committed.is_err() {
                    open.abandon().await;
                }
                if has_new_schema {
                    self.de.goods.schemas.forget(self.database);
                }
                if let Some(position) = committed.map_err(ill)? {
                    self.after = self.after.max(position);
                }
            }
            "COMMIT"
        } else {
            if let Some(open) = block.open {
                open.abandon().await;
            }
            "ROLLBACK"
        };
        Ok((tag, None))
    }

    fn block_of(&mut self, what: &str) -> Result<&mut Block, Fault> {
        self.block.as_mut().ok_or_else(|| {
            Fault::new(
                "25P01",
                format!("{what} can only be used in transaction blocks"),
            )
        })
    }

    async fn savepoint(&mut self, name: String) -> Result<(), Fault> {
        self.require_unfailed()?;
        let block = self.block_of("SAVEPOINT")?;
        if block.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a transaction may have {SAVEPOINTS_MAX} savepoints");
            return Err(Fault::new("54000", message));
        }
        if let Some(open) = &block.open {
            let set = open.control(TransactionAct::Savepoint(name.clone())).await;
            set.map_err(ill)?;
        }
        block.savepoints.push((name, block.schema.clone()));
        Ok(())
    }

    async fn release(&mut self, name: String) -> Result<(), Fault> {
        self.require_unfailed()?;
        let block = self.block_of("RELEASE SAVEPOINT")?;
        let depth = block.depth(&name)?;
        if let Some(open) = &block.open {
            open.control(TransactionAct::Release(name))
                .await
                .map_err(ill)?;
        }
        block.savepoints.truncate(depth);
        Ok(())
    }

    async fn rollback_to(&mut self, name: String) -> Result<(), Fault> {
        let block = self.block_of("ROLLBACK TO SAVEPOINT")?;
        let depth = block.depth(&name)?;
        if let Some(open) = &block.open {
            open.control(TransactionAct::RollbackTo(name))
                .await
                .map_err(ill)?;
        }
        block.savepoints.truncate(depth + 1);
        block.schema = block
            .savepoints
            .last()
            .and_then(|(_, schema)| schema.clone());
        block.has_failed = false;
        Ok(())
    }

    /// The schema as the session sees it.
    pub(super) async fn schema_now(&self) -> Result<Arc<Known>, Fault> {
        let of_block = self.block.as_ref().and_then(|block| block.schema.clone());
        if let Some(schema) = of_block {
            return Ok(schema);
        }
        let fault = |problem| fault_of(&problem);
        let database = self.de.database(self.database).map_err(fault)?;
        let known = self.de.schema(self.database, &database).await;
        known.map_err(fault)
    }

    /// The block has changed the schema: what follows in it is judged against that.
    pub(super) async fn schema_changed(&mut self, change: SchemaChange) -> Result<(), Fault> {
        let present = self.schema_now().await?;
        if let Some(block) = &mut self.block {
            block.schema = Some(Arc::new(present.changed(change)));
        }
        Ok(())
    }
}

impl Block {
    fn depth(&self, name: &str) -> Result<usize, Fault> {
        let depth = self.savepoints.iter().rposition(|(set, _)| set == name);
        depth.ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            Fault::new("3B001", format!("savepoint \"{shown}\" does not exist"))
        })
    }
}

fn ill(ill: Ill) -> Fault {
    match ill {
        Ill::Fault(fault) => Fault::new(&fault.state, fault.message),
        Ill::Problem(problem) => fault_of(&problem),
    }
}
