//! The S3 door of a Storage Element: buckets and objects for every program that
//! speaks S3.
//!
//! | part | what |
//! | --- | --- |
//! | `door` | connections, within bounds |
//! | `guard`, `form`, `answer` | what the S3 library leaves out of requests and answers |
//! | `authentication`, `gate`, `policy`, `acl` | who asks, and whether they may |
//! | `operations` | what is done: `bucket`, `object`, `upload`, `list` |
//!
//! The crate `s3s` reads requests, verifies signatures (AWS Signature Version 4)
//! and writes answers; what an operation does, and with which codes it is
//! refused, is here. It is done through changes of the Element's metadata and its
//! readers and writers of data, as at every other door.

mod acl;
mod answer;
mod authentication;
mod bucket;
mod caller;
mod context;
mod cors;
mod deed;
mod digest;
mod door;
mod encryption;
mod facts;
mod fault;
mod flow;
mod form;
mod gate;
mod guard;
mod hashing;
mod known;
mod lifecycle;
mod list;
mod listing;
mod moving;
mod object;
mod operations;
mod policy;
mod settings;
mod standing;
mod start;
mod store;
mod upload;

pub(super) use self::{
    encryption::{is_encrypted, is_sealed_under_element},
    standing::{S3Standing, serve},
};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

/// The region of every bucket: that of programs that know of none.
pub(in crate::storage) const REGION: &str = "us-east-1";
