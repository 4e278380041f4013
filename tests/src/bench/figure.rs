//! Figures, and how they are shown.

use std::fmt;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// One measured value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    name: String,
    value: f64,
    unit: &'static str,
    /// What the machine itself does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beside: Vec<Beside>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Beside {
    name: &'static str,
    value: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Aim {
    aim: String,
    met: bool,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            beside: Vec::new(),
            aim: None,
            note: None,
        }
    }

    /// States what the machine itself does, in the same unit.
    pub(super) fn beside(mut self, name: &'static str, value: f64) -> Self {
        self.beside.push(Beside { name, value });
        self
    }

    /// States what was aimed at, and whether it was met.
    pub(super) fn aim(mut self, aim: impl Into<String>, met: bool) -> Self {
        self.aim = Some(Aim {
            aim: aim.into(),
            met,
        });
        self
    }

    /// Adds what a reader has to know.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, shown(self.value), self.unit)?;
        for beside in &self.beside {
            write!(f, "; {} {}", shown(beside.value), beside.name)?;
        }
        self.note.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

/// Shows figures to people.
pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "figure",
        "value",
        "unit",
        "the machine itself",
        "aim",
        "met",
        "note",
    ]);
    for figure in figures {
        let beside: Vec<_> = figure
            .beside
            .iter()
            .map(|beside| format!("{} {}", shown(beside.value), beside.name))
            .collect();
        let (aim, met) = figure.aim.as_ref().map_or(("", ""), |aim| {
            (aim.aim.as_str(), if aim.met { "yes" } else { "NO" })
        });
        table.add_row([
            Cell::new(&figure.name),
            Cell::new(shown(figure.value)).set_alignment(CellAlignment::Right),
            Cell::new(figure.unit),
            Cell::new(beside.join("\n")),
            Cell::new(aim),
            Cell::new(met),
            Cell::new(figure.note.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// Three digits that count.
fn shown(value: f64) -> String {
    let digits: usize = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_shown_with_its_limit_and_its_aim() {
        let figure = Figure::new("parts", 1234.5, "1/s")
            .beside("posix_spawn", 1500.0)
            .aim("0.8 of it", true);
        let text = table(&[figure]).to_string();
        for word in ["1234", "1500 posix_spawn", "0.8 of it", "yes"] {
            assert!(text.contains(word), "{word} is missing: {text}");
        }
        assert_eq!(
            (shown(0.1234), shown(12.34)),
            ("0.123".to_owned(), "12.3".to_owned())
        );
    }
}
