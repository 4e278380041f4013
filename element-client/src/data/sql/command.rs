//! Statements that a session answers itself: what it has prepared, and COPY, which is a
//! query and a form of its rows.

use sqlparser::ast::{
    self, CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, CopyTarget, DiscardObject,
    Ident,
};

use super::{
    bind::with_stack,
    parse::StatementText,
    refusal::{Judgement, Refusal},
};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// DISCARD ALL
    DiscardAll,
    /// DEALLOCATE; of all without a name.
    Deallocate(Option<String>),
    /// COPY … TO STDOUT
    Copy(Box<CopyOut>),
}

/// Rows as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOut {
    /// The query whose rows they are, which has to be judged as any other.
    pub query: String,
    /// With quotes, as in CSV; else with backslashes.
    pub is_csv: bool,
    /// Whether the names of the columns come first.
    pub has_header: bool,
    /// Between two values: one byte.
    pub delimiter: char,
    /// What stands for NULL.
    pub null: String,
    /// Around a value of CSV that needs it.
    pub quote: char,
}

/// Reads a statement that is a command; `None`: it is another one.
///
/// # Errors
/// A command that cannot be read, or is not among these.
pub fn command(text: StatementText<'_>) -> Result<Option<Command>, Refusal> {
    let first = text.first_word().unwrap_or("");
    let known = ["copy", "discard", "deallocate"];
    if !known.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        return Ok(None);
    }
    let depth = text.depth()?;
    with_stack(depth, || match text.read()? {
        ast::Statement::Discard {
            object_type: DiscardObject::ALL,
        } => Ok(Some(Command::DiscardAll)),
        ast::Statement::Deallocate { name, prepare: _ } => {
            let is_all = name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all");
            Ok(Some(Command::Deallocate((!is_all).then(|| folded(&name)))))
        }
        ast::Statement::Copy {
            source,
            to,
            target,
            options,
            legacy_options,
            values: _,
        } => {
            if !to || target != CopyTarget::Stdout {
                return Err(Refusal::unsupported("COPY other than TO STDOUT"));
            }
            let query = query_of(&source);
            let copy = copy_out(query, &options, &legacy_options)?;
            Ok(Some(Command::Copy(Box::new(copy))))
        }
        _ => Ok(None),
    })
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() {
        return name.value.clone();
    }
    name.value.to_lowercase()
}

fn query_of(source: &CopySource) -> String {
    match source {
        CopySource::Query(query) => query.to_string(),
        CopySource::Table {
            table_name,
            columns,
        } => {
            let names: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "*".to_owned()
            } else {
                names.join(", ")
            };
            format!("SELECT {names} FROM {table_name}")
        }
    }
}

fn copy_out(
    query: String,
    options: &[CopyOption],
    legacy: &[CopyLegacyOption],
) -> Judgement<CopyOut> {
    let (mut is_csv, mut has_header) = (false, false);
    let (mut delimiter, mut null, mut quote) = (None, None, '"');
    for option in options {
        match option {
            CopyOption::Format(name) if name.value.eq_ignore_ascii_case("csv") => is_csv = true,
            CopyOption::Format(name) if name.value.eq_ignore_ascii_case("text") => is_csv = false,
            CopyOption::Header(header) => has_header = *header,
            CopyOption::Delimiter(character) => delimiter = Some(*character),
            CopyOption::Null(text) => null = Some(text.clone()),
            CopyOption::Quote(character) => quote = *character,
            CopyOption::Encoding(name) if name.eq_ignore_ascii_case("utf8") => {}
            other => return Err(Refusal::unsupported(format!("COPY with {other}"))),
        }
    }
    for option in legacy {
        match option {
            CopyLegacyOption::Csv(options) => {
                is_csv = true;
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => has_header = true,
                        CopyLegacyCsvOption::Quote(character) => quote = *character,
                        other => return Err(Refusal::unsupported(format!("COPY with {other}"))),
                    }
                }
            }
            CopyLegacyOption::Delimiter(character) => delimiter = Some(*character),
            CopyLegacyOption::Null(text) => null = Some(text.clone()),
            other => return Err(Refusal::unsupported(format!("COPY with {other}"))),
        }
    }
    let delimiter = delimiter.unwrap_or(if is_csv { ',' } else { '\t' });
    let is_fit = |one: char| one.is_ascii() && !matches!(one, '\n' | '\r' | '\0');
    if !is_fit(delimiter) || !is_fit(quote) || delimiter == quote {
        let message = "COPY takes one byte as delimiter, and another one as quote";
        return Err(Refusal::new("22023", message));
    }
    Ok(CopyOut {
        query,
        is_csv,
        has_header,
        delimiter,
        null: null.unwrap_or_else(|| if is_csv { "" } else { "\\N" }.to_owned()),
        quote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sql::Statements;

    fn read(text: &str) -> Judgement<Option<Command>> {
        let statements = Statements::split(text).unwrap();
        command(statements.iter().next().unwrap())
    }

    #[test]
    fn copies_are_queries_and_a_form() {
        let Ok(Some(Command::Copy(copy))) = read("COPY people (id, name) TO STDOUT CSV HEADER")
        else {
            panic!("it is a copy");
        };
        assert_eq!(copy.query, "SELECT id, name FROM people");
        assert!(copy.is_csv && copy.has_header && copy.delimiter == ',');
        let text = "copy (SELECT 1) TO STDOUT WITH (FORMAT text, NULL '-', DELIMITER '|')";
        let Ok(Some(Command::Copy(copy))) = read(text) else {
            panic!("it is a copy");
        };
        assert_eq!((copy.delimiter, copy.null.as_str()), ('|', "-"));
        for text in [
            "COPY people FROM STDIN",
            "COPY people TO '/etc/passwd'",
            "COPY people TO PROGRAM 'id'",
            "COPY people TO STDOUT (FORMAT binary)",
        ] {
            assert_eq!(read(text).unwrap_err().state, "0A000", "{text}");
        }
        assert_eq!(read("SELECT 1").unwrap(), None);
        assert_eq!(read("DISCARD ALL").unwrap(), Some(Command::DiscardAll));
        assert_eq!(
            read("DEALLOCATE ALL").unwrap(),
            Some(Command::Deallocate(None))
        );
        let one = Command::Deallocate(Some("p1".to_owned()));
        assert_eq!(read("deallocate P1").unwrap(), Some(one));
    }
}
