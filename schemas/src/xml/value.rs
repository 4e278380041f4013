//! How single values and repeated or optional fields stand in a document.

use std::num::{NonZeroU16, NonZeroU32};

use super::{Cursor, DocumentError, Element, Writer};
use crate::{
    id::{Digest, PersonName},
    resource::{
        common::Who,
        enumeration::{
            AccessLatency, AccessProtocolType, AeKind, AppEnvState, CpuArchitectureName,
            DataEngine, ExpirationMode, HandleType, HealthState, License, LrmsType,
            OperatingSystemName, OsFamily, ParallelSupport, Platform, QualityLevel, ReplicaRole,
            RetentionPolicy, Sandbox, SchedulingPolicy, SeArchitecture, ServingState,
            StorageDeviceType, SyncState,
        },
    },
    role::{Desired, Operation},
    scalar::{
        BucketName, DatabaseName, Decimal, FailureLabel, LocalId, Percent, ScalarError, Seconds,
        Text, Token, TokenHash, Uri, UtcTime, VariableName, ascii_digits, collapse,
    },
    storage::Redundancy,
};

/// A value that is one text: of an element without children, or of an attribute.
pub(crate) trait Value: Sized {
    fn from_text(text: &str) -> Result<Self, ScalarError>;
    fn to_text(&self) -> String;
}

/// A value that an attribute can hold; also lists.
pub(crate) trait AttributeValue: Sized {
    fn from_text(text: &str) -> Result<Self, ScalarError>;
    fn to_text(&self) -> String;
}

impl<T: Value> AttributeValue for T {
    fn from_text(text: &str) -> Result<Self, ScalarError> {
        Value::from_text(text)
    }

    fn to_text(&self) -> String {
        Value::to_text(self)
    }
}

/// A field that is an attribute, required or optional.
pub(crate) trait AttributeField: Sized {
    /// `None`: it is required and not there.
    fn from_attribute(text: Option<&str>) -> Option<Result<Self, ScalarError>>;
    fn write_attribute(&self, writer: &mut Writer, name: &'static str);
}

impl<T: AttributeValue> AttributeField for T {
    fn from_attribute(text: Option<&str>) -> Option<Result<Self, ScalarError>> {
        text.map(T::from_text)
    }

    fn write_attribute(&self, writer: &mut Writer, name: &'static str) {
        writer.attribute(name, &self.to_text());
    }
}

impl<T: AttributeValue> AttributeField for Option<T> {
    fn from_attribute(text: Option<&str>) -> Option<Result<Self, ScalarError>> {
        Some(text.map(T::from_text).transpose())
    }

    fn write_attribute(&self, writer: &mut Writer, name: &'static str) {
        if let Some(value) = self {
            value.write_attribute(writer, name);
        }
    }
}

impl<T: Value> Element for T {
    fn read_element(
        cursor: &mut Cursor<'_>,
        name: &'static str,
        index: usize,
    ) -> Result<Self, DocumentError> {
        let attributes = cursor.open(name, index)?;
        let value = cursor.value(&attributes)?;
        cursor.close(&attributes)?;
        Ok(value)
    }

    fn write_element(&self, writer: &mut Writer, name: &'static str) {
        writer.start(name);
        writer.content(&self.to_text());
        writer.end();
    }
}

/// A field that is an element: once, at most once, or any number of times.
pub(crate) trait Field: Sized {
    fn read_field(cursor: &mut Cursor<'_>, name: &'static str) -> Result<Self, DocumentError>;
    fn write_field(&self, writer: &mut Writer, name: &'static str);
}

impl<T: Element> Field for T {
    fn read_field(cursor: &mut Cursor<'_>, name: &'static str) -> Result<Self, DocumentError> {
        T::read_element(cursor, name, 0)
    }

    fn write_field(&self, writer: &mut Writer, name: &'static str) {
        self.write_element(writer, name);
    }
}

impl<T: Element> Field for Option<T> {
    fn read_field(cursor: &mut Cursor<'_>, name: &'static str) -> Result<Self, DocumentError> {
        if cursor.is_next(name)? {
            T::read_element(cursor, name, 0).map(Some)
        } else {
            Ok(None)
        }
    }

    fn write_field(&self, writer: &mut Writer, name: &'static str) {
        if let Some(value) = self {
            value.write_element(writer, name);
        }
    }
}

impl<T: Element> Field for Vec<T> {
    fn read_field(cursor: &mut Cursor<'_>, name: &'static str) -> Result<Self, DocumentError> {
        let mut values = Self::new();
        while cursor.is_next(name)? {
            values.push(T::read_element(cursor, name, values.len() + 1)?);
        }
        Ok(values)
    }

    fn write_field(&self, writer: &mut Writer, name: &'static str) {
        for value in self {
            value.write_element(writer, name);
        }
    }
}

/// Reads a field that may be left out where it has its default value.
pub(crate) fn read_or_default<T: Element + Default>(
    cursor: &mut Cursor<'_>,
    name: &'static str,
) -> Result<T, DocumentError> {
    Option::read_field(cursor, name).map(Option::unwrap_or_default)
}

/// Leaves a field out where it has its default value.
pub(crate) fn write_unless_default<T: Element + Default + PartialEq>(
    value: &T,
    writer: &mut Writer,
    name: &'static str,
) {
    if *value != T::default() {
        value.write_element(writer, name);
    }
}

/// Reads a repeated field that has to be there once at least.
pub(crate) fn read_at_least_one<T: Element>(
    cursor: &mut Cursor<'_>,
    name: &'static str,
) -> Result<Vec<T>, DocumentError> {
    let mut values = vec![T::read_element(cursor, name, 1)?];
    while cursor.is_next(name)? {
        values.push(T::read_element(cursor, name, values.len() + 1)?);
    }
    Ok(values)
}

/// Values that read themselves, white space included.
macro_rules! self_reading {
    ($($type:ty),+ $(,)?) => {
        $(impl Value for $type {
            fn from_text(text: &str) -> Result<Self, ScalarError> {
                text.parse()
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

self_reading!(
    AccessLatency,
    AccessProtocolType,
    AeKind,
    AppEnvState,
    BucketName,
    CpuArchitectureName,
    DataEngine,
    DatabaseName,
    Decimal,
    ExpirationMode,
    FailureLabel,
    HandleType,
    HealthState,
    License,
    LocalId,
    LrmsType,
    OperatingSystemName,
    OsFamily,
    ParallelSupport,
    Percent,
    Platform,
    QualityLevel,
    ReplicaRole,
    RetentionPolicy,
    Sandbox,
    SchedulingPolicy,
    SeArchitecture,
    Seconds,
    ServingState,
    StorageDeviceType,
    SyncState,
    Text,
    Token,
    TokenHash,
    Uri,
    UtcTime,
    VariableName,
    Who,
);

/// Values whose own reader knows nothing of XML's white space.
macro_rules! collapsed {
    ($($type:ty: $expected:expr),+ $(,)?) => {
        $(impl Value for $type {
            fn from_text(text: &str) -> Result<Self, ScalarError> {
                collapse(text).parse().map_err(|_| ScalarError::new($expected, text))
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

collapsed!(
    Desired: "production or closed",
    PersonName: "1 to 64 of a-z 0-9 . _ -, starting with a letter",
    Digest: "blake3: and 64 lower-case hex digits",
    Redundancy: "replica(N) with 1 to 16 copies, or rs(K,M) with 2 to 16 data and 1 to 8 parity blocks",
    bool: "true or false",
);

/// Whole numbers without a sign; leading zeros are legal.
macro_rules! unsigned {
    ($($type:ty: $digits:literal, $expected:literal),+ $(,)?) => {
        $(impl Value for $type {
            fn from_text(text: &str) -> Result<Self, ScalarError> {
                let digits = collapse(text);
                let refusal = || ScalarError::new($expected, text);
                if !ascii_digits(&digits, $digits) {
                    return Err(refusal());
                }
                digits.parse().map_err(|_| refusal())
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

unsigned!(
    u32: 10, "a whole number from 0 to 4294967295 without a sign",
    u64: 20, "a whole number from 0 to 18446744073709551615 without a sign",
    NonZeroU32: 10, "a whole number from 1 to 4294967295 without a sign",
    NonZeroU16: 10, "a port from 1 to 65535",
);

impl Value for i32 {
    fn from_text(text: &str) -> Result<Self, ScalarError> {
        let collapsed = collapse(text);
        let digits = collapsed.strip_prefix('-').unwrap_or(&collapsed);
        let value = if ascii_digits(digits, 10) {
            collapsed.parse().ok()
        } else {
            None
        };
        value.ok_or_else(|| {
            ScalarError::new(
                "a whole number from -2147483648 to 2147483647 without `+`",
                text,
            )
        })
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl AttributeValue for Vec<Operation> {
    fn from_text(text: &str) -> Result<Self, ScalarError> {
        let expected =
            "one or more of call, manage, upload, logs, read, write, with spaces between";
        let operations: Option<Self> = collapse(text)
            .split(' ')
            .map(|word| word.parse().ok())
            .collect();
        operations.ok_or_else(|| ScalarError::new(expected, text))
    }

    fn to_text(&self) -> String {
        let names: Vec<&str> = self.iter().map(|operation| operation.as_str()).collect();
        names.join(" ")
    }
}
