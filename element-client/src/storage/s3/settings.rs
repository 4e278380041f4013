//! Settings of buckets are kept as the XML that S3 has for them.

use s3s::{
    S3Result, s3_error,
    xml::{Deserialize, Deserializer, Serialize, Serializer},
};

/// Writes a setting.
pub(super) fn write(setting: &impl Serialize) -> S3Result<String> {
    let mut bytes = Vec::new();
    setting
        .serialize(&mut Serializer::new(&mut bytes))
        .map_err(|error| s3_error!(error, InternalError))?;
    String::from_utf8(bytes).map_err(|error| s3_error!(error, InternalError))
}

/// Reads a setting that was written by [`write`].
pub(super) fn read<T: for<'xml> Deserialize<'xml>>(text: &str) -> S3Result<T> {
    T::deserialize(&mut Deserializer::new(text.as_bytes())).map_err(|error| {
        tracing::error!(%error, "a setting of a bucket cannot be read");
        s3_error!(InternalError, "A setting of the bucket cannot be read.")
    })
}
