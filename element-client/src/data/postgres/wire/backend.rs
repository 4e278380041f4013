//! What is answered to clients.

use bytes::{BufMut as _, BytesMut};
use gridmart_schemas::wire::data::SqlFault;

use super::frontend::CancelKey;

/// How a transaction stands, as it is told with each readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum Standing {
    Idle,
    Open,
    Failed,
}

/// A column of a result, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) struct Field {
    pub(in crate::data::postgres) name: String,
    /// Number of its type.
    pub(in crate::data::postgres) oid: u32,
    /// Bytes of its type; −1: as many as it needs.
    pub(in crate::data::postgres) size: i16,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) struct Fault {
    pub(in crate::data::postgres) state: String,
    pub(in crate::data::postgres) message: String,
    pub(in crate::data::postgres) hint: Option<String>,
    /// In characters of the text, from 1.
    pub(in crate::data::postgres) position: Option<u64>,
}

impl Fault {
    pub(in crate::data::postgres) fn new(state: &str, message: impl Into<String>) -> Self {
        Self {
            state: state.to_owned(),
            message: message.into(),
            hint: None,
            position: None,
        }
    }

    #[must_use]
    pub(in crate::data::postgres) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<SqlFault> for Fault {
    fn from(fault: SqlFault) -> Self {
        Self {
            position: fault.position,
            ..Self::new(&fault.state, fault.message)
        }
    }
}

/// What is said of a fault, or beside an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum Severity {
    Error,
    /// The connection ends with it.
    Fatal,
    Warning,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
        }
    }
}

/// Puts a message: its kind, its length, what `body` puts.
fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let begin = out.len();
    out.put_u32(0);
    body(out);
    // No message is near 4 GiB.
    let length = u32::try_from(out.len() - begin).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// A text and its end; one that holds the end is cut there.
fn text(out: &mut BytesMut, text: &str) {
    let whole = text.split('\0').next().unwrap_or("");
    out.put_slice(whole.as_bytes());
    out.put_u8(0);
}

/// Counts on the wire have 16 bits; what is counted is bounded to far less.
fn count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

fn authentication(out: &mut BytesMut, step: u32, body: &[u8]) {
    message(out, b'R', |out| {
        out.put_u32(step);
        out.put_slice(body);
    });
}

/// Signing in begins with this mechanism.
pub(in crate::data::postgres) fn sasl(out: &mut BytesMut, mechanism: &str) {
    authentication(out, 10, format!("{mechanism}\0\0").as_bytes());
}

/// The server's next word in signing in.
pub(in crate::data::postgres) fn sasl_continue(out: &mut BytesMut, said: &str) {
    authentication(out, 11, said.as_bytes());
}

/// The server's last word in signing in.
pub(in crate::data::postgres) fn sasl_final(out: &mut BytesMut, said: &str) {
    authentication(out, 12, said.as_bytes());
}

/// Signed in.
pub(in crate::data::postgres) fn welcome(out: &mut BytesMut) {
    authentication(out, 0, &[]);
}

/// A newer minor version, or options of the protocol, were asked for.
pub(in crate::data::postgres) fn negotiate(out: &mut BytesMut, options: &[&str]) {
    message(out, b'v', |out| {
        out.put_u32(0);
        out.put_u32(u32::try_from(options.len()).unwrap_or(0));
        for option in options {
            text(out, option);
        }
    });
}

pub(in crate::data::postgres) fn parameter(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

pub(in crate::data::postgres) fn cancel_key(out: &mut BytesMut, key: CancelKey) {
    message(out, b'K', |out| {
        out.put_u32(key.process);
        out.put_u32(key.secret);
    });
}

pub(in crate::data::postgres) fn ready(out: &mut BytesMut, standing: Standing) {
    message(out, b'Z', |out| {
        out.put_u8(match standing {
            Standing::Idle => b'I',
            Standing::Open => b'T',
            Standing::Failed => b'E',
        });
    });
}

pub(in crate::data::postgres) fn fault(out: &mut BytesMut, severity: Severity, fault: &Fault) {
    let kind = if severity == Severity::Warning {
        b'N'
    } else {
        b'E'
    };
    message(out, kind, |out| {
        let position = fault.position.map(|position| position.to_string());
        let fields = [
            (b'S', Some(severity.word())),
            (b'V', Some(severity.word())),
            (b'C', Some(fault.state.as_str())),
            (b'M', Some(fault.message.as_str())),
            (b'H', fault.hint.as_deref()),
            (b'P', position.as_deref()),
        ];
        for (code, value) in fields {
            if let Some(value) = value {
                out.put_u8(code);
                text(out, value);
            }
        }
        out.put_u8(0);
    });
}

/// The columns of a result; `formats` as for [`super::super::value::format_of`].
pub(in crate::data::postgres) fn columns(
    out: &mut BytesMut,
    fields: &[Field],
    format: impl Fn(usize) -> i16,
) {
    message(out, b'T', |out| {
        count(out, fields.len());
        for (index, field) in fields.iter().enumerate() {
            text(out, &field.name);
            // Of no table that could be looked up, at no place in it.
            out.put_u32(0);
            out.put_u16(0);
            out.put_u32(field.oid);
            out.put_i16(field.size);
            out.put_i32(-1);
            out.put_i16(format(index));
        }
    });
}

/// A row; `put` puts a value, or says that there is none.
pub(in crate::data::postgres) fn row<E>(
    out: &mut BytesMut,
    columns: usize,
    mut put: impl FnMut(usize, &mut BytesMut) -> Result<bool, E>,
) -> Result<(), E> {
    let mut failed = Ok(());
    message(out, b'D', |out| {
        count(out, columns);
        for index in 0..columns {
            let begin = out.len();
            out.put_i32(-1);
            match put(index, out) {
                Err(error) => {
                    failed = Err(error);
                    return;
                }
                Ok(false) => {}
                Ok(true) => {
                    // A row has a few MiB at most.
                    let length = i32::try_from(out.len() - begin - 4).unwrap_or(i32::MAX);
                    if let Some(place) = out.get_mut(begin..begin + 4) {
                        place.copy_from_slice(&length.to_be_bytes());
                    }
                }
            }
        }
    });
    failed
}

pub(in crate::data::postgres) fn complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

/// Types of the parameters of a statement.
pub(in crate::data::postgres) fn parameters(out: &mut BytesMut, oids: &[u32]) {
    message(out, b't', |out| {
        count(out, oids.len());
        for oid in oids {
            out.put_u32(*oid);
        }
    });
}

/// Messages that say one thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum Word {
    ParseComplete,
    BindComplete,
    CloseComplete,
    NoData,
    EmptyQuery,
    PortalSuspended,
    CopyDone,
}

pub(in crate::data::postgres) fn word(out: &mut BytesMut, word: Word) {
    let kind = match word {
        Word::ParseComplete => b'1',
        Word::BindComplete => b'2',
        Word::CloseComplete => b'3',
        Word::NoData => b'n',
        Word::EmptyQuery => b'I',
        Word::PortalSuspended => b's',
        Word::CopyDone => b'c',
    };
    message(out, kind, |_| {});
}

/// Rows follow as text, in so many columns.
pub(in crate::data::postgres) fn copy_out(out: &mut BytesMut, columns: usize) {
    message(out, b'H', |out| {
        out.put_u8(0);
        count(out, columns);
        for _ in 0..columns {
            out.put_u16(0);
        }
    });
}

pub(in crate::data::postgres) fn copy_data(out: &mut BytesMut, line: &[u8]) {
    message(out, b'd', |out| out.put_slice(line));
}
