//! Transactions of a session: BEGIN, savepoints, COMMIT.

use std::sync::Arc;

use super::{
    session::{Session, fault_of},
    wire::backend::{Fault, Standing},
};
use crate::data::{
    block::{Block, Committed},
    schemas::Known,
    sql::Transaction,
    transaction::Ill,
};

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
        let unfailed = self.block.as_ref().map(Block::require_unfailed);
        unfailed.unwrap_or(Ok(())).map_err(Fault::from)
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
                let block = self.block_of("SAVEPOINT")?;
                block.savepoint(name).await.map_err(ill)?;
                Ok(("SAVEPOINT", None))
            }
            Transaction::Release(name) => {
                let block = self.block_of("RELEASE SAVEPOINT")?;
                block.release(name).await.map_err(ill)?;
                Ok(("RELEASE", None))
            }
            Transaction::RollbackTo(name) => {
                let block = self.block_of("ROLLBACK TO SAVEPOINT")?;
                block.rollback_to(name).await.map_err(ill)?;
                Ok(("ROLLBACK", None))
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
        let is_read_only =
            read_only.unwrap_or_else(|| settings.is_on("default_transaction_read_only"));
        let whose = (self.database, self.person.clone());
        self.block = Some(Block::new(whose, is_read_only, is_strict));
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

    /// Ends the block. One that has failed is taken back whatever was said.
    async fn end(&mut self, commit: bool) -> Result<(&'static str, Option<Fault>), Fault> {
        self.close_portals().await;
        let Some(block) = self.block.take() else {
            let tag = if commit { "COMMIT" } else { "ROLLBACK" };
            let warning = Fault::new("25P01", "there is no transaction in progress");
            return Ok((tag, Some(warning)));
        };
        for (name, value) in std::mem::take(&mut self.locals).into_iter().rev() {
            self.settings.set(name, value);
        }
        if !commit {
            block.abandon().await;
            return Ok(("ROLLBACK", None));
        }
        match block.commit(&self.de).await.map_err(ill)? {
            Committed::At(position) => {
                self.after = self.after.max(position.unwrap_or_default());
                Ok(("COMMIT", None))
            }
            Committed::TakenBack => Ok(("ROLLBACK", None)),
        }
    }

    fn block_of(&mut self, what: &str) -> Result<&mut Block, Fault> {
        self.block.as_mut().ok_or_else(|| {
            Fault::new(
                "25P01",
                format!("{what} can only be used in transaction blocks"),
            )
        })
    }

    /// The schema as the session sees it.
    pub(super) async fn schema_now(&self) -> Result<Arc<Known>, Fault> {
        let known = if let Some(block) = &self.block {
            block.schema_now(&self.de).await
        } else {
            let fault = |problem| fault_of(&problem);
            let database = self.de.database(self.database).map_err(fault)?;
            self.de.schema(self.database, &database).await
        };
        known.map_err(|problem| fault_of(&problem))
    }
}

pub(super) fn ill(ill: Ill) -> Fault {
    match ill {
        Ill::Fault(fault) => fault.into(),
        Ill::Problem(problem) => fault_of(&problem),
    }
}
