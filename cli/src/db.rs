//! `gridmart db`: databases, and who may see what of them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView},
    data::Script,
    resource::{database::DatabaseRule, enumeration::DataEngine},
    scalar::DatabaseName,
};
use serde::Serialize;

use crate::{
    copies::copies,
    failure::Failure,
    output::{Output, Page, or_dash},
    progress::Progress,
    remote,
    size::Size,
};

/// A script is held whole.
const SCRIPT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How rules are written.
const RULES_HELP: &str = r#"A file of rules:
  [{"who": "role:user", "operations": ["read"], "table": "people",
    "columns": [{"name": "pay", "mask": "round(pay, -3)"}, {"name": "diary"}],
    "rows": "name = current_user OR branch = gridmart.attribute('domain')"},
   {"who": "user:eve"}]

Of the rules that name somebody and a table, the first counts; a table that none names does not
exist for them. A column without a mask is hidden. Without `operations` a rule lets read and write,
without `table` it is for all tables. The owner sees and may do everything."#;

/// What to do with databases.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a database, which is yours
    Create {
        /// Its name: a-z, 0-9 and _, first a letter
        #[arg(value_name = "NAME")]
        name: DatabaseName,
        /// How many shadows it has: copies on other Hosts that follow its core
        #[arg(long, value_name = "N", default_value_t = 0)]
        shadows: u32,
        /// What keeps it: sqlite, postgresql, mariadb; a Host has to have it
        #[arg(long, value_name = "ENGINE", default_value_t)]
        engine: DataEngine,
        /// What keeps its shadows: sqlite, or the server that keeps the database [default: that, if
        /// there are Hosts for it, else sqlite]
        #[arg(long, value_name = "ENGINE")]
        shadow_engine: Option<DataEngine>,
        /// Data Element that keeps it [default: the only one]
        #[arg(long, value_name = "ID")]
        element: Option<String>,
    },
    /// List the databases that you may use
    List {
        /// Of this Data Element only
        #[arg(long, value_name = "ID")]
        element: Option<String>,
    },
    /// Show a database: its copies, how far they are, and its rules
    Show {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
    },
    /// Say who may see what, in place of the present rules; without a file: show them
    #[command(after_help = RULES_HELP)]
    Rules {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// JSON list of rules, as below
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Run the statements of a file one after the other, each a transaction of its own
    Import {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Statements of SQL, each ended by `;`; - for stdin
        #[arg(value_name = "FILE.sql")]
        file: PathBuf,
    },
    /// Remove a database with all that is in it
    Delete {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
    },
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create {
            name,
            shadows,
            engine,
            shadow_engine,
            element,
        } => {
            let wanted = DatabaseCreateRequest {
                name: name.clone(),
                element: element.clone(),
                shadows: *shadows,
                engine: engine.clone(),
                shadow_engine: shadow_engine.clone(),
            };
            create(&wanted, output)
        }
        Command::List { element } => list(element.as_deref(), output),
        Command::Show { database } => {
            let view =
                remote::ask(async |client| Ok(client.data().database_show(database).await?))?;
            output.print(&view, |page| details(page, &view))
        }
        Command::Rules { database, file } => rules(database, file.as_ref(), output),
        Command::Import { database, file } => import(database, file, output),
        Command::Delete { database } => delete(database, output),
    }
}

fn create(wanted: &DatabaseCreateRequest, output: Output) -> Result<(), Failure> {
    let view = remote::ask(async |client| Ok(client.data().database_create(wanted).await?))?;
    output.print(&view, |page| details(page, &view))?;
    let name = &wanted.name;
    output.note(&format!(
        "next: gridmart sql {name} \"CREATE TABLE …\"; who else may see it, says `gridmart db rules`"
    ));
    Ok(())
}

fn list(element: Option<&str>, output: Output) -> Result<(), Failure> {
    let listed = remote::ask(async |client| Ok(client.data().database_list(element).await?))?;
    output.print(&listed, |page| {
        let cells = listed.databases.iter().map(|view| {
            let state = view.database.state.as_ref();
            [
                view.database.name.to_string(),
                view.database.owner.to_string(),
                view.element_name.clone(),
                view.database.info.engine.to_string(),
                view.database.shadows().count().to_string(),
                or_dash(state.map(|state| state.log_position)),
                or_dash(
                    state
                        .and_then(|state| state.used_size)
                        .map(Size::from_bytes),
                ),
            ]
        });
        page.table(
            [
                "NAME", "OWNER", "ELEMENT", "ENGINE", "SHADOWS", "POSITION", "SIZE",
            ],
            cells.collect(),
            "None: make one with `gridmart db create NAME`.",
        );
    })?;
    if !listed.silent.is_empty() {
        output.note(&format!(
            "These did not answer: {}.",
            listed.silent.join(", ")
        ));
    }
    Ok(())
}

pub(crate) fn details(page: &mut Page, view: &DatabaseView) {
    let database = &view.database;
    page.field("name", database.name.as_str());
    page.field("id", view.id.to_string());
    page.field("owner", database.owner.as_str());
    page.field("element", &view.element_name);
    page.field("endpoint", or_dash(view.endpoint.as_ref()));
    page.field("engine", database.info.engine.as_str());
    match &database.state {
        None => page.field(
            "state",
            "not known: the core's Host has not told it yet, or is away",
        ),
        Some(state) => {
            page.field(
                "position",
                format!("{} (epoch {})", state.log_position, state.epoch),
            );
            page.field("size", or_dash(state.used_size.map(Size::from_bytes)));
            page.field(
                "shadows",
                format!(
                    "{} of {} fresh",
                    state.fresh_shadow_count, state.shadow_count
                ),
            );
        }
    }
    copies(page, view);
    rules_table(page, &database.access.rules);
}

fn rules_table(page: &mut Page, rules: &[DatabaseRule]) {
    if rules.is_empty() {
        return;
    }
    page.heading("rules");
    let cells = rules.iter().map(|rule| {
        let operations = rule.operations.as_ref().map(|operations| {
            let names: Vec<_> = operations.iter().map(|one| one.as_str()).collect();
            names.join(" ")
        });
        let columns = rule.columns.iter().map(|column| match &column.mask {
            None => format!("{} hidden", column.name),
            Some(mask) => format!("{} as {}", column.name, mask.as_str()),
        });
        [
            rule.who.to_string(),
            operations.unwrap_or_else(|| "read write".to_owned()),
            rule.table
                .as_ref()
                .map_or("all", |table| table.as_str())
                .to_owned(),
            columns.collect::<Vec<_>>().join(", "),
            rule.rows
                .as_ref()
                .map_or_else(String::new, |rows| rows.as_str().to_owned()),
        ]
    });
    page.table(
        ["WHO", "MAY", "TABLE", "COLUMNS", "ROWS"],
        cells.collect(),
        "None.",
    );
}

fn rules(database: &str, file: Option<&PathBuf>, output: Output) -> Result<(), Failure> {
    let view = match file {
        None => remote::ask(async |client| Ok(client.data().database_show(database).await?))?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            let rules: Vec<DatabaseRule> = serde_json::from_str(&text).map_err(|error| {
                Failure::Usage(format!(
                    "{} holds no rules: {error}; `gridmart db rules --help` shows one",
                    path.display()
                ))
            })?;
            let change = DatabaseChangeRequest { rules: Some(rules) };
            remote::ask(async |client| {
                Ok(client.data().database_change(database, &change).await?)
            })?
        }
    };
    let rules = &view.database.access.rules;
    output.print(rules, |page| {
        if rules.is_empty() {
            page.line("None: nobody but the owner sees anything.");
        }
        rules_table(page, rules);
    })
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
struct Imported {
    /// Statements that were run.
    statements: u64,
    /// Rows that they changed.
    rows_changed: u64,
}

fn import(database: &str, file: &Path, output: Output) -> Result<(), Failure> {
    let (name, text) = script(file)?;
    let done = remote::ask(async |client| {
        let mut done = Imported::default();
        let progress = Progress::bytes(output, "importing");
        for statement in Script::new(&text) {
            let run = client.data().execute(database, statement.text, &[]).await;
            let executed = run.inspect_err(|_| {
                progress.clear();
                output.note(&format!(
                    "{name}:{}: this statement failed; the {} before it hold",
                    statement.line, done.statements
                ));
            })?;
            done.statements += 1;
            done.rows_changed += executed.rows_changed.unwrap_or(0);
            let told = format!("{} statements", done.statements);
            progress.set(statement.end as u64, Some(text.len() as u64), told);
        }
        progress.clear();
        Ok(done)
    })?;
    output.print(&done, |page| {
        page.line(format!(
            "{} statements were run, {} rows changed.",
            done.statements, done.rows_changed
        ));
    })
}

/// A script, and its name for people.
fn script(file: &Path) -> Result<(String, String), Failure> {
    let is_stdin = file.as_os_str() == "-";
    let name = if is_stdin {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    };
    let mut bytes = Vec::new();
    let read = if is_stdin {
        io::stdin()
            .lock()
            .take(SCRIPT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(SCRIPT_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > SCRIPT_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{name} has more than {}: import it in parts",
            Size::from_bytes(SCRIPT_BYTES_MAX)
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        Failure::Usage(format!("{name}:{line}: this is no UTF-8 text"))
    })?;
    Ok((name, text))
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

fn delete(database: &str, output: Output) -> Result<(), Failure> {
    remote::ask(async |client| Ok(client.data().database_delete(database).await?))?;
    output.print(&Deleted { deleted: database }, |page| {
        page.line(format!("{database} is gone."));
    })
}
