//! Statements that are prepared, bound and run in steps.

use std::sync::Arc;

use gridmart_schemas::wire::data::ROW_BYTES_MAX;

use super::{
    rows::Answer,
    run::{Studied, Work, only, refused},
    session::{Out, Session, Stop},
    value::{self, format_of, require_formats},
    wire::{
        backend::{self, Fault, Field, Word},
        frontend::Target,
    },
};
use crate::data::sql::{BaseType, Literal, Statements};

/// Statements that a session may have prepared.
const STATEMENTS_MAX: usize = 2_000;
/// Bytes of their texts together.
const TEXTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Portals that a session may have open.
const PORTALS_MAX: usize = 32;
/// Bytes of the values of all of them, as they came.
const VALUES_BYTES_MAX: usize = 2 * ROW_BYTES_MAX;

/// A statement that is prepared: what it may do is looked at anew each time that it is run.
#[derive(Clone)]
pub(super) struct Prepared(Arc<Preparation>);

struct Preparation {
    text: String,
    /// A Host runs it: nothing else has to be asked what it is.
    is_for_host: bool,
    parameters: Vec<BaseType>,
    fields: Vec<Field>,
}

/// A statement with its values, and what it has given as far as it was not taken.
pub(super) struct Portal {
    prepared: Prepared,
    values: Vec<Literal>,
    /// Of the values, as they came.
    bytes: usize,
    formats: Vec<i16>,
    state: State,
}

enum State {
    New,
    Open(Box<Answer>),
    Over,
}

impl Portal {
    /// Gives up what was not taken.
    pub(super) async fn close(self) {
        if let State::Open(answer) = self.state {
            answer.close().await;
        }
    }
}

impl Session {
    pub(super) async fn parse(
        &mut self,
        name: String,
        text: String,
        types: &[u32],
        out: &mut Out,
    ) -> Result<(), Stop> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Fault::new("42P05", message).into());
        }
        self.statements.remove(&name);
        let held = self.statements.iter();
        let held: usize = held.map(|(name, one)| name.len() + one.0.text.len()).sum();
        let more = name.len() + text.len();
        if self.statements.len() >= STATEMENTS_MAX || held + more > TEXTS_BYTES_MAX {
            let message = format!(
                "a session may have {STATEMENTS_MAX} prepared statements of {TEXTS_BYTES_MAX} \
                 bytes together"
            );
            let fault = Fault::new("53400", message);
            return Err(fault
                .hint("DEALLOCATE those that are not used any more.")
                .into());
        }
        let declared: Vec<_> = types
            .iter()
            .map(|oid| value::declared(*oid))
            .collect::<Result<_, _>>()?;
        let statements = Statements::split(&text).map_err(refused)?;
        let preparation = match only(&statements)? {
            None => Preparation {
                text: String::new(),
                is_for_host: false,
                parameters: Vec::new(),
                fields: Vec::new(),
            },
            Some(statement) => {
                let studied = self.study(statement, declared).await?;
                let is_for_host = matches!(studied.work, Work::Rows(..));
                let Studied {
                    parameters, fields, ..
                } = studied;
                Preparation {
                    // As it will be judged, without what is around it.
                    text: if is_for_host {
                        statement.source().1.to_owned()
                    } else {
                        text
                    },
                    is_for_host,
                    parameters,
                    fields,
                }
            }
        };
        self.statements
            .insert(name, Prepared(Arc::new(preparation)));
        backend::word(out.messages(), Word::ParseComplete);
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<Prepared, Fault> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = format!("prepared statement \"{name}\" does not exist");
            Fault::new("26000", message)
        })
    }

    pub(super) async fn bind(
        &mut self,
        name: String,
        statement: &str,
        (formats, values): (&[i16], &[Option<Vec<u8>>]),
        results: Vec<i16>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let prepared = self.prepared(statement)?;
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Fault::new("42P03", format!("cursor \"{name}\" already exists")).into());
        }
        if let Some(portal) = self.portals.remove(&name) {
            portal.close().await;
        }
        if self.portals.len() >= PORTALS_MAX {
            let message = format!("a session may have {PORTALS_MAX} portals: close some");
            return Err(Fault::new("53400", message).into());
        }
        let Preparation {
            parameters, fields, ..
        } = prepared.0.as_ref();
        if values.len() != parameters.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" \
                 requires {}",
                values.len(),
                parameters.len()
            );
            return Err(Fault::new("08P01", message).into());
        }
        require_formats(formats, values.len())?;
        require_formats(&results, fields.len())?;
        let bytes: usize = name.len() + values.iter().flatten().map(Vec::len).sum::<usize>();
        let held: usize = self.portals.values().map(|portal| portal.bytes).sum();
        // In binary form they are as long as they are; as text, twice that at most.
        if held + bytes > VALUES_BYTES_MAX {
            let message = "the parameters of a statement have too many bytes together";
            return Err(Fault::new("54000", message).into());
        }
        let values = values.iter().zip(parameters).enumerate();
        let values = values.map(|(index, (value, wanted))| {
            let format = format_of(formats, index);
            value::read(value.as_deref(), format, *wanted, index + 1)
        });
        let portal = Portal {
            values: values.collect::<Result<_, _>>()?,
            bytes,
            prepared,
            formats: results,
            state: State::New,
        };
        self.portals.insert(name, portal);
        backend::word(out.messages(), Word::BindComplete);
        Ok(())
    }

    pub(super) fn describe(
        &mut self,
        target: Target,
        name: &str,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let (prepared, formats) = match target {
            Target::Statement => {
                let prepared = self.prepared(name)?;
                let oids = prepared.0.parameters.iter().map(|one| one.oid());
                backend::parameters(out.messages(), &oids.collect::<Vec<_>>());
                (prepared, Vec::new())
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.prepared.clone(), portal.formats.clone())
            }
        };
        if prepared.0.fields.is_empty() {
            backend::word(out.messages(), Word::NoData);
        } else {
            let format = |index| format_of(&formats, index);
            backend::columns(out.messages(), &prepared.0.fields, format);
        }
        Ok(())
    }

    pub(super) async fn execute(
        &mut self,
        name: &str,
        rows: u32,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let executed = self.execute_portal(&mut portal, rows, out).await;
        // What has ended the transaction has ended its portals.
        if executed.is_ok() && !matches!(portal.state, State::Over) {
            self.portals.insert(name.to_owned(), portal);
        } else {
            portal.state = State::Over;
            self.portals.insert(name.to_owned(), portal);
        }
        executed
    }

    async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        rows: u32,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let mut answer = match std::mem::replace(&mut portal.state, State::Over) {
            State::Open(answer) => answer,
            State::Over => {
                backend::complete(out.messages(), "SELECT 0");
                return Ok(());
            }
            State::New => {
                let preparation = Arc::clone(&portal.prepared.0);
                let Some(studied) = self.study_again(&preparation).await? else {
                    backend::word(out.messages(), Word::EmptyQuery);
                    return Ok(());
                };
                if studied.fields != preparation.fields {
                    let message = "cached plan must not change result type";
                    return Err(Fault::new("0A000", message).into());
                }
                Box::new(self.start(studied, &portal.values, out).await?)
            }
        };
        let most = (rows > 0).then_some(u64::from(rows));
        if self.send(&mut answer, &portal.formats, most, out).await? {
            return Ok(());
        }
        portal.state = State::Open(answer);
        backend::word(out.messages(), Word::PortalSuspended);
        Ok(())
    }

    /// Says what a prepared statement is now; `None`: it is empty.
    async fn study_again(&self, preparation: &Preparation) -> Result<Option<Studied>, Fault> {
        let declared = preparation.parameters.iter().copied().map(Some).collect();
        if preparation.is_for_host {
            self.require_unfailed()?;
            return self.judge(&preparation.text, declared).await.map(Some);
        }
        let statements = Statements::split(&preparation.text).map_err(refused)?;
        match only(&statements)? {
            Some(statement) => self.study(statement, declared).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn close_one(
        &mut self,
        target: Target,
        name: &str,
        out: &mut Out,
    ) -> Result<(), Stop> {
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => {
                if let Some(portal) = self.portals.remove(name) {
                    portal.close().await;
                }
            }
        }
        backend::word(out.messages(), Word::CloseComplete);
        Ok(())
    }

    /// All portals end: their transaction has.
    pub(super) async fn close_portals(&mut self) {
        for (_, portal) in std::mem::take(&mut self.portals) {
            portal.close().await;
        }
    }
}

fn no_portal(name: &str) -> Fault {
    Fault::new("34000", format!("portal \"{name}\" does not exist"))
}
