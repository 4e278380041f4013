//! One statement: what it is, and running it, wherever it came from.

use gridmart_schemas::data::Value;
use tokio_util::sync::CancellationToken;

use super::{
    catalog::{self, Contents, Listed, Question},
    rows::{Answer, interrupted, rows_of},
    session::{Out, Session, Stop, fault_of},
    settings::TOLD,
    transaction::ill,
    value,
    wire::backend::{self, Fault, Field, Severity},
};
use crate::data::{
    asker::Asker,
    block::read_only,
    rules::rules_of,
    sql::{
        self, BaseType, Command, Entry, Kind, Literal, Refusal, SETTINGS, StatementText,
        Statements, Transaction, view_columns,
    },
    statement::{Manner, Permitted},
};

/// What a statement is.
pub(super) enum Work {
    /// The session itself does it.
    Command(Command),
    Session(sql::Session),
    Transaction(Transaction),
    /// The catalog answers it.
    Catalog(Box<Question>, Box<Contents>),
    /// A Host does it.
    Rows(Box<Permitted>, Asker),
}

/// A statement that was looked at.
pub(super) struct Studied {
    pub(super) work: Work,
    /// Types of its parameters.
    pub(super) parameters: Vec<BaseType>,
    /// The columns of its result; none if there is no result.
    pub(super) fields: Vec<Field>,
}

/// A refusal of the judge.
pub(super) fn refused(refusal: Refusal) -> Fault {
    Fault {
        position: refusal.position.map(|position| position as u64),
        ..Fault::new(refusal.state, refusal.message)
    }
}

/// The only statement of a text, and none of an empty one.
pub(super) fn only(statements: &Statements) -> Result<Option<StatementText<'_>>, Fault> {
    let mut all = statements.iter();
    match (all.next(), all.next()) {
        (only, None) => Ok(only),
        _ => Err(Fault::new(
            "42601",
            "cannot insert multiple commands into a prepared statement",
        )),
    }
}

impl Session {
    /// Runs a statement of a simple query, and sends all that it gives.
    pub(super) async fn simple(
        &mut self,
        statement: StatementText<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let (before, _) = statement.source();
        self.simple_here(statement, out)
            .await
            .map_err(|stop| match stop {
                Stop::Fault(fault) => Stop::Fault(Fault {
                    position: fault.position.map(|position| position + before as u64),
                    ..fault
                }),
                end @ Stop::End(_) => end,
            })
    }

    async fn simple_here(
        &mut self,
        statement: StatementText<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let studied = self.study(statement, Vec::new()).await?;
        if !studied.parameters.is_empty() {
            return Err(Fault::new("42P02", "there is no parameter $1").into());
        }
        if let Work::Command(Command::Copy(copy)) = studied.work {
            return self.copy(&copy, out).await;
        }
        let mut answer = self.start(studied, &[], out).await?;
        if !answer.fields.is_empty() {
            backend::columns(out.messages(), &answer.fields, |_| value::TEXT);
        }
        let sent = self.send(&mut answer, &[], None, out).await;
        sent.map(drop)
    }

    /// Says what a statement is. `declared`: types that the client gives for parameters.
    pub(super) async fn study(
        &self,
        statement: StatementText<'_>,
        declared: Vec<Option<BaseType>>,
    ) -> Result<Studied, Fault> {
        let first = statement.first_word().unwrap_or("").to_ascii_lowercase();
        if !["commit", "end", "rollback", "abort"].contains(&first.as_str()) {
            self.require_unfailed()?;
        }
        let without_rows = |work| Studied {
            work,
            parameters: Vec::new(),
            fields: Vec::new(),
        };
        if let Some(command) = sql::command(statement).map_err(refused)? {
            return Ok(without_rows(Work::Command(command)));
        }
        let (_, text) = statement.source();
        if catalog::is_asked(statement) {
            let asker = self.asker()?;
            let question = catalog::question(statement, &declared)?;
            let contents = self.contents(&asker).await?;
            return Ok(Studied {
                parameters: question.parameters.clone(),
                fields: question.fields(),
                work: Work::Catalog(Box::new(question), Box::new(contents)),
            });
        }
        self.judge(text, declared).await
    }

    /// Says what a text is that is known to be one statement, and none that the session
    /// or the catalog answers.
    pub(super) async fn judge(
        &self,
        text: &str,
        declared: Vec<Option<BaseType>>,
    ) -> Result<Studied, Fault> {
        let asker = self.asker()?;
        let schema = self.block.as_ref().and_then(|block| block.schema.clone());
        let judged = self
            .de
            .judge_statement(&asker, self.database, text, declared, schema)
            .await;
        let permitted = judged
            .map_err(|problem| fault_of(&problem))?
            .map_err(refused)?;
        let judged = &permitted.judged;
        let columns = judged.columns.iter();
        let fields = columns.map(|column| value::field(&column.name, column.sql_type.into()));
        Ok(Studied {
            parameters: judged.parameters.clone(),
            fields: fields.collect(),
            work: match &judged.kind {
                Kind::Session(session) => Work::Session(session.clone()),
                Kind::Transaction(control) => Work::Transaction(control.clone()),
                _ => Work::Rows(Box::new(permitted), asker),
            },
        })
    }

    /// Begins a statement, with values for its parameters; all but its rows is done.
    pub(super) async fn start(
        &mut self,
        studied: Studied,
        values: &[Literal],
        out: &mut Out,
    ) -> Result<Answer, Stop> {
        let Studied { work, fields, .. } = studied;
        match work {
            Work::Command(command) => Ok(self.command(command).await?),
            Work::Session(session) => Ok(self.setting(session, fields, out)?),
            Work::Transaction(control) => {
                let (tag, warning) = self.control(control).await?;
                self.warn(warning, out);
                Ok(Answer::done(tag))
            }
            Work::Catalog(question, contents) => {
                let values = values.to_vec();
                let answered = self
                    .de
                    .blocking(move |_| question.answer(&contents, &values))
                    .await;
                let rows = answered.map_err(|problem| fault_of(&problem))??;
                Ok(Answer::of("SELECT", fields, rows))
            }
            Work::Rows(permitted, asker) => {
                Ok(self.run(*permitted, &asker, values, fields).await?)
            }
        }
    }

    /// What the person may see of the database.
    async fn contents(&self, asker: &Asker) -> Result<Contents, Fault> {
        let fault = |problem| fault_of(&problem);
        let database = self.de.database(self.database).map_err(fault)?;
        let known = self.schema_now().await?;
        let rules = rules_of(&database, known.entries(), &asker.subject());
        let rules = known.rules(rules).map_err(fault)?;
        let entries = known.catalog.entries();
        let tables = entries.filter_map(|(name, entry)| match entry {
            Entry::Table(table) => {
                let (_, columns) = rules.listed(name, table.columns.len())?;
                Some(Listed {
                    table: sql::Table::clone(table),
                    columns,
                    view: None,
                })
            }
            Entry::View(view) => {
                let shown = view_columns(name, &known.catalog, &rules)?;
                let (_, columns) = rules.listed(name, shown.len())?;
                let text = rules.is_everything().then(|| view.text.clone());
                Some(Listed {
                    table: as_table(name, shown),
                    columns,
                    view: Some(text.unwrap_or_default()),
                })
            }
        });
        let settings = SETTINGS.iter();
        let settings = settings.map(|(name, _)| ((*name).to_owned(), self.shown(name)));
        Ok(Contents {
            person: self.person.to_string(),
            owner: database.owner.to_string(),
            database: self.database_name.to_string(),
            databases: self.de.databases_of(&self.person),
            tables: tables.collect(),
            settings: settings.collect(),
            process: self.known.key.process,
        })
    }

    #[expect(clippy::unused_self, reason = "it is said in this session")]
    fn warn(&self, warning: Option<Fault>, out: &mut Out) {
        if let Some(warning) = warning {
            backend::fault(out.messages(), Severity::Warning, &warning);
        }
    }

    async fn command(&mut self, command: Command) -> Result<Answer, Fault> {
        match command {
            Command::DiscardAll => {
                if self.block.is_some() {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(Fault::new("25001", message));
                }
                self.close_portals().await;
                self.statements.clear();
                self.settings.reset();
                Ok(Answer::done("DISCARD ALL"))
            }
            Command::Deallocate(None) => {
                self.statements.clear();
                Ok(Answer::done("DEALLOCATE ALL"))
            }
            Command::Deallocate(Some(name)) => {
                if self.statements.remove(&name).is_some() {
                    return Ok(Answer::done("DEALLOCATE"));
                }
                let message = format!("prepared statement \"{name}\" does not exist");
                Err(Fault::new("26000", message))
            }
            Command::Copy(_) => Err(Fault::new("0A000", "COPY is for simple queries alone")),
        }
    }

    fn setting(
        &mut self,
        session: sql::Session,
        fields: Vec<Field>,
        out: &mut Out,
    ) -> Result<Answer, Fault> {
        match session {
            sql::Session::Show(name) => {
                let shown = Value::Text(self.shown(name));
                Ok(Answer::of("SHOW", fields, vec![vec![shown]]))
            }
            sql::Session::ResetAll => {
                self.settings.reset();
                self.tell(TOLD, out);
                Ok(Answer::done("RESET"))
            }
            sql::Session::Set { name, value, local } => {
                let tag = if value.is_some() { "SET" } else { "RESET" };
                if local {
                    if self.block.is_none() {
                        let message = "SET LOCAL can only be used in transaction blocks";
                        self.warn(Some(Fault::new("25P01", message)), out);
                        return Ok(Answer::done(tag));
                    }
                    self.locals.push((name, self.settings.given(name)));
                }
                self.settings.set(name, value);
                let told = TOLD.iter().filter(|(_, setting)| *setting == name);
                self.tell(&told.copied().collect::<Vec<_>>(), out);
                Ok(Answer::done(tag))
            }
            sql::Session::Modes {
                read_only,
                strict,
                session,
            } => {
                if session {
                    self.modes_of_session(read_only, strict);
                } else {
                    let warning = self.modes_of_block(read_only, strict)?;
                    self.warn(warning, out);
                }
                Ok(Answer::done("SET"))
            }
        }
    }

    /// What SHOW shows.
    pub(super) fn shown(&self, name: &str) -> String {
        let block = self.block.as_ref();
        match (name, block) {
            ("transaction_isolation", Some(block)) if block.is_strict => "serializable".to_owned(),
            ("transaction_isolation", Some(_)) => "read committed".to_owned(),
            ("transaction_isolation", None) => self
                .settings
                .get("default_transaction_isolation")
                .to_owned(),
            ("transaction_read_only", Some(block)) => {
                if block.is_read_only { "on" } else { "off" }.to_owned()
            }
            ("transaction_read_only", None) => self
                .settings
                .get("default_transaction_read_only")
                .to_owned(),
            (name, _) => self.settings.get(name).to_owned(),
        }
    }

    fn tell(&self, settings: &[(&str, &str)], out: &mut Out) {
        for (name, setting) in settings {
            if *setting != "session_authorization" {
                backend::parameter(out.messages(), name, self.settings.get(setting));
            }
        }
    }

    /// Runs a statement on a Host.
    async fn run(
        &mut self,
        permitted: Permitted,
        asker: &Asker,
        values: &[Literal],
        fields: Vec<Field>,
    ) -> Result<Answer, Fault> {
        let is_read = permitted.judged.kind == Kind::Read;
        self.require_begin(is_read)?;
        let cancel = self.known.statement();
        let running = self.known.session.statement();
        let give_up = CancellationToken::new();
        let manner = Manner {
            after: self.after,
            from: self.settings.read_from(),
            give_up: Some(&give_up),
            time: self.settings.statement_timeout(),
            ..Manner::default()
        };
        let within = self.block.is_some();
        let outcome = {
            let block = self.block.as_mut();
            let there = self.de.run_in(asker, permitted, values, manner, block);
            let mut there = Box::pin(there);
            tokio::select! {
                outcome = &mut there => outcome,
                why = interrupted(&self.de, &self.known, &cancel) => {
                    if is_read {
                        return Err(why);
                    }
                    // A write that a Host has is answered with what became of it.
                    give_up.cancel();
                    there.await
                }
            }
        };
        let (rows, rest) = rows_of(outcome.map_err(ill)?)?;
        let count = rows.rows_changed.unwrap_or(rows.rows.len() as u64);
        self.known.session.on_rows(count);
        if !is_read && !within {
            self.after = self.after.max(rows.position);
        }
        Ok(Answer::ran(rows, rest, fields, cancel, running))
    }

    /// Refuses a statement that is a transaction of its own where none may begin.
    fn require_begin(&self, is_read: bool) -> Result<(), Fault> {
        if self.block.is_some() {
            return Ok(());
        }
        if !self.de.accepts() {
            return Err(Fault::new("57P03", "the Data Element is stopped"));
        }
        if !is_read && self.settings.is_on("default_transaction_read_only") {
            return Err(read_only().into());
        }
        Ok(())
    }
}

/// A view as the catalog tells of it: its columns, and no keys.
fn as_table(name: &str, columns: Vec<(String, BaseType)>) -> sql::Table {
    let columns = columns.into_iter().map(|(name, sql_type)| sql::Column {
        name: name.into(),
        column_type: sql_type.into(),
        nullable: true,
        default: None,
    });
    sql::Table {
        name: name.into(),
        columns: columns.collect(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
    }
}
