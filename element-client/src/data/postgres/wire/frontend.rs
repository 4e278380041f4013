//! What clients send.

use std::collections::BTreeMap;

use super::fields::{Fields, Malformed};

/// The numbers that stand where a version would be.
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// The version that is spoken.
const MAJOR: u32 = 3;
/// Settings that a client may give as it comes.
const PARAMETERS_MAX: usize = 64;

/// The first message of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum First {
    /// Speak TLS.
    Tls,
    /// Speak GSS encryption.
    Gss,
    /// End what another connection runs.
    Cancel(CancelKey),
    /// Begin a session.
    Startup(Startup),
}

/// Which connection may be cancelled with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) struct CancelKey {
    pub(in crate::data::postgres) process: u32,
    pub(in crate::data::postgres) secret: u32,
}

/// Who comes, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data::postgres) struct Startup {
    /// Of protocol 3.
    pub(in crate::data::postgres) minor: u32,
    pub(in crate::data::postgres) parameters: BTreeMap<String, String>,
}

impl First {
    pub(super) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        let first = match fields.u32()? {
            SSL => Self::Tls,
            GSS => Self::Gss,
            CANCEL => Self::Cancel(CancelKey {
                process: fields.u32()?,
                secret: fields.u32()?,
            }),
            version if version >> 16 == MAJOR => {
                let mut parameters = BTreeMap::new();
                loop {
                    let name = fields.text()?;
                    if name.is_empty() {
                        break;
                    }
                    parameters.insert(name, fields.text()?);
                    if parameters.len() > PARAMETERS_MAX {
                        return Err(Malformed("too many settings at the beginning"));
                    }
                }
                Self::Startup(Startup {
                    minor: version & 0xffff,
                    parameters,
                })
            }
            _ => return Err(Malformed("this is not PostgreSQL's protocol of version 3")),
        };
        fields.end()?;
        Ok(first)
    }
}

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum Target {
    Statement,
    Portal,
}

/// A message of a session.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data::postgres) enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        /// Numbers of the types of parameters, as far as they are declared.
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        /// Forms of the parameters: none, one for all, or one for each.
        formats: Vec<i16>,
        values: Vec<Option<Vec<u8>>>,
        /// Forms of the columns of the result, in the same way.
        results: Vec<i16>,
    },
    Describe(Target, String),
    Execute {
        portal: String,
        /// 0: all.
        rows: u32,
    },
    Close(Target, String),
    Flush,
    Sync,
    Terminate,
    /// A step of signing in.
    Password(Vec<u8>),
    /// Part of a COPY to the server, which is never asked for.
    Copy,
}

impl Message {
    pub(super) fn read(kind: u8, body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        let message = match kind {
            b'Q' => Self::Query(fields.text()?),
            b'P' => Self::Parse {
                name: fields.text()?,
                text: fields.text()?,
                types: fields.several(Fields::u32)?,
            },
            b'B' => Self::Bind {
                portal: fields.text()?,
                statement: fields.text()?,
                formats: fields.several(Fields::i16)?,
                values: fields.several(|fields| Ok(fields.value()?.map(<[u8]>::to_vec)))?,
                results: fields.several(Fields::i16)?,
            },
            b'D' => Self::Describe(target(&mut fields)?, fields.text()?),
            b'E' => Self::Execute {
                portal: fields.text()?,
                // Less than none is all, as 0 is.
                rows: u32::try_from(fields.i32()?).unwrap_or(0),
            },
            b'C' => Self::Close(target(&mut fields)?, fields.text()?),
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'p' => return Ok(Self::Password(body.to_vec())),
            b'd' | b'c' | b'f' => return Ok(Self::Copy),
            _ => return Err(Malformed("a message of an unknown kind")),
        };
        fields.end()?;
        Ok(message)
    }
}

fn target(fields: &mut Fields<'_>) -> Result<Target, Malformed> {
    match fields.u8()? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        _ => Err(Malformed(
            "a message is about neither a statement nor a portal",
        )),
    }
}

/// The first step of SASL: a mechanism, and what the client says in it.
pub(in crate::data::postgres) fn sasl_begin(body: &[u8]) -> Result<(String, Vec<u8>), Malformed> {
    let mut fields = Fields::of(body);
    let mechanism = fields.text()?;
    let said = fields.value()?.unwrap_or_default().to_vec();
    fields.end()?;
    Ok((mechanism, said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_whole_or_not_at_all() {
        let bind = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x00";
        let read = Message::read(b'B', bind).unwrap();
        assert_eq!(
            read,
            Message::Bind {
                portal: "p".to_owned(),
                statement: "s".to_owned(),
                formats: vec![1],
                values: vec![Some(b"hi".to_vec()), None],
                results: Vec::new(),
            }
        );
        for end in 0..bind.len() {
            assert!(Message::read(b'B', &bind[..end]).is_err(), "{end}");
        }
        assert!(Message::read(b'Q', b"SELECT 1").is_err(), "no end");
        assert!(Message::read(b'Q', b"SELECT 1\0x").is_err(), "too much");
        assert!(Message::read(b'Q', b"SELECT '\xff'\0").is_err(), "no UTF-8");
        assert!(Message::read(b'!', b"").is_err());
        let huge = b"p\0s\0\0\0\x00\x01\x7f\xff\xff\xff";
        assert!(Message::read(b'B', huge).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::read(kind, &body);
            let _ = First::read(&body);
            let _ = sasl_begin(&body);
        }
    }
}
