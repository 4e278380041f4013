//! The one place that prints: data on stdout, everything else on stderr; for
//! people as text, for programs (`--json`) as one JSON document.
//!
//! Invariant: text from elsewhere reaches a terminal only through [`plain`].

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use comfy_table::{Cell, Color, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    color: bool,
}

impl Output {
    /// Reads the room: colours only on a terminal, and not under `NO_COLOR`.
    pub(crate) fn new(json: bool) -> Self {
        let color = io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, color }
    }

    /// Tells whether programs read.
    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// Prints a value: as JSON, or as the page that `human` fills.
    pub(crate) fn print<T: Serialize + ?Sized>(
        self,
        value: &T,
        human: impl FnOnce(&mut Page),
    ) -> Result<(), Failure> {
        if self.json {
            let mut text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
            text.push('\n');
            return self.write(text.as_bytes());
        }
        let mut page = Page {
            text: String::new(),
            color: self.color,
        };
        human(&mut page);
        self.write(page.text.as_bytes())
    }

    /// Prints one JSON line now, for streams of them.
    pub(crate) fn json_line<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        let mut text = serde_json::to_string(value).map_err(anyhow::Error::from)?;
        text.push('\n');
        self.write(text.as_bytes())
    }

    /// Prints a page for people now.
    pub(crate) fn page(self, human: impl FnOnce(&mut Page)) -> Result<(), Failure> {
        let mut page = Page {
            text: String::new(),
            color: self.color,
        };
        human(&mut page);
        self.write(page.text.as_bytes())
    }

    /// Writes bytes to stdout as they are.
    #[expect(clippy::unused_self, reason = "whoever prints has to hold the output")]
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Says something beside the data; programs are spared it.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // Nothing can be done when stderr is gone.
            let _ = writeln!(io::stderr(), "{}", plain(text));
        }
    }
}

/// Text for people under construction.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    color: bool,
}

impl Page {
    /// Adds a line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(&plain(text.as_ref()));
        self.text.push('\n');
    }

    /// Adds an empty line and a heading.
    pub(crate) fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(text);
    }

    /// Adds `name: value`, the values below each other.
    pub(crate) fn field(&mut self, name: &str, value: impl AsRef<str>) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.text,
            "{:<14}{}",
            format!("{name}:"),
            plain(value.as_ref())
        );
    }

    /// Adds a table; `none` is said in its place when it has no rows.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: Vec<[String; N]>,
        none: &str,
    ) {
        if rows.is_empty() {
            self.line(none);
            return;
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(header.to_vec());
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        for row in rows {
            table.add_row(row.iter().map(|text| self.cell(text)).collect::<Vec<_>>());
        }
        for index in 0..N {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
            }
        }
        for line in table.lines() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    fn cell(&self, text: &str) -> Cell {
        let cell = Cell::new(plain(text).replace('\n', " "));
        if !self.color {
            return cell;
        }
        match text {
            "ok" | "production" | "applied" | "installedverified" => cell.fg(Color::Green),
            "warning"
            | "draining"
            | "queueing"
            | "pending"
            | "unknown"
            | "installednotverified" => cell.fg(Color::Yellow),
            "critical" | "away" | "closed" | "revoked" | "installedbroken"
            | "installationfailed" => cell.fg(Color::Red),
            _ => cell,
        }
    }
}

/// Replaces what could steer a terminal; line ends and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
            // Bidirectional overrides show text in an order that it does not have.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
            _ => letter,
        })
        .collect()
}

/// Shows a value that may be unknown.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Shows a point in time to the second, UTC.
pub(crate) fn moment(time: time::OffsetDateTime) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    time.to_offset(time::UtcOffset::UTC)
        .format(format)
        .unwrap_or_else(|_| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(color: bool) -> Page {
        Page {
            text: String::new(),
            color,
        }
    }

    #[test]
    fn tables_have_no_trailing_blanks_and_no_colours_when_piped() {
        let mut page = page(false);
        page.table(
            ["NAME", "HEALTH"],
            vec![
                ["a".into(), "ok".into()],
                ["long-name".into(), "critical".into()],
            ],
            "none",
        );
        assert_eq!(
            page.text,
            "NAME       HEALTH\na          ok\nlong-name  critical\n"
        );
    }

    #[test]
    fn colours_are_there_when_wanted() {
        let mut page = page(true);
        page.table(["HEALTH"], vec![["ok".into()]], "none");
        assert!(page.text.contains("\u{1b}["), "{:?}", page.text);
    }

    #[test]
    fn an_empty_table_says_so() {
        let mut page = page(false);
        page.table(["NAME"], Vec::new(), "No Hosts yet.");
        assert_eq!(page.text, "No Hosts yet.\n");
    }

    #[test]
    fn foreign_text_cannot_steer() {
        assert_eq!(
            plain("a\u{1b}[31mb\u{202e}c\nd"),
            "a\u{fffd}[31mb\u{fffd}c\nd"
        );
    }
}
