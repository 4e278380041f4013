//! COPY … TO STDOUT: the rows of a query as lines of text or of CSV.

use bytes::BytesMut;
use gridmart_schemas::data::Value;

use super::{
    run::{only, refused},
    session::{Out, Session, Stop},
    value,
    wire::backend::{self, Fault, Word},
};
use crate::data::sql::{CopyOut, Statements};

impl Session {
    pub(super) async fn copy(&mut self, copy: &CopyOut, out: &mut Out) -> Result<(), Stop> {
        let statements = Statements::split(&copy.query).map_err(refused)?;
        let no_query = || Fault::new("42601", "COPY takes a query");
        let query = only(&statements)?.ok_or_else(no_query)?;
        // Places in a text that the client did not write are none.
        let placeless = |fault| Fault {
            position: None,
            ..fault
        };
        let studied = self.study(query, Vec::new()).await.map_err(placeless)?;
        if studied.fields.is_empty() {
            return Err(no_query().into());
        }
        let mut answer = self.start(studied, &[], out).await?;
        backend::copy_out(out.messages(), answer.fields.len());
        let mut line = BytesMut::new();
        if copy.has_header {
            let names = answer.fields.iter().map(|field| field.name.clone());
            copy.line(&mut line, names.map(Value::Text));
            backend::copy_data(out.messages(), &line);
        }
        let mut rows = 0_u64;
        while let Some(row) = self.next_row(&mut answer).await? {
            rows += 1;
            line.clear();
            copy.line(&mut line, row.into_iter());
            backend::copy_data(out.messages(), &line);
            out.relieve().await?;
        }
        backend::word(out.messages(), Word::CopyDone);
        backend::complete(out.messages(), &format!("COPY {rows}"));
        Ok(())
    }
}

impl CopyOut {
    fn line(&self, out: &mut BytesMut, values: impl Iterator<Item = Value>) {
        let mut text = BytesMut::new();
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.extend_from_slice(self.delimiter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            if value == Value::Null {
                out.extend_from_slice(self.null.as_bytes());
                continue;
            }
            text.clear();
            value::put_text(&mut text, &value);
            if self.is_csv {
                self.csv(out, &text);
            } else {
                self.escaped(out, &text);
            }
        }
        out.extend_from_slice(b"\n");
    }

    fn csv(&self, out: &mut BytesMut, text: &[u8]) {
        let one = |character: char| u8::try_from(character).unwrap_or(0);
        let (delimiter, quote) = (one(self.delimiter), one(self.quote));
        let needs = text == self.null.as_bytes()
            || text == b"\\."
            || text
                .iter()
                .any(|byte| [delimiter, quote, b'\n', b'\r'].contains(byte));
        if !needs {
            out.extend_from_slice(text);
            return;
        }
        out.extend_from_slice(&[quote]);
        for byte in text {
            if *byte == quote {
                out.extend_from_slice(&[quote]);
            }
            out.extend_from_slice(&[*byte]);
        }
        out.extend_from_slice(&[quote]);
    }

    fn escaped(&self, out: &mut BytesMut, text: &[u8]) {
        for byte in text {
            let escape = match byte {
                b'\\' => Some(b'\\'),
                b'\n' => Some(b'n'),
                b'\r' => Some(b'r'),
                b'\t' => Some(b't'),
                8 => Some(b'b'),
                12 => Some(b'f'),
                11 => Some(b'v'),
                byte if char::from(*byte) == self.delimiter => Some(*byte),
                _ => None,
            };
            match escape {
                Some(escape) => out.extend_from_slice(&[b'\\', escape]),
                None => out.extend_from_slice(&[*byte]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_postgresqls_form() {
        let mut copy = CopyOut {
            query: String::new(),
            is_csv: false,
            has_header: false,
            delimiter: '\t',
            null: "\\N".to_owned(),
            quote: '"',
        };
        let row = || {
            let texts = ["a\tb\\", "", "x,\"y\"\nz"].map(|text| Value::Text(text.to_owned()));
            texts.into_iter().chain([Value::Null])
        };
        let mut line = BytesMut::new();
        copy.line(&mut line, row());
        assert_eq!(line, "a\\tb\\\\\t\tx,\"y\"\\nz\t\\N\n");
        (copy.is_csv, copy.delimiter, copy.null) = (true, ',', String::new());
        line.clear();
        copy.line(&mut line, row());
        assert_eq!(line, "a\tb\\,\"\",\"x,\"\"y\"\"\nz\",\n");
    }
}
