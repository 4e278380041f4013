//! The resource description model: what Elements, Hosts and applications say
//! about themselves, in the groups Info, State, Policy, `AccessControlBase`.
//!
//! Every type here is described twice, by `xsd/*.xsd` and by an `xml_record!`
//! table beside the type; tests hold both against `xmllint`. Rules over
//! several fields, which an XSD cannot state, are in [`validate`]. Unknown is
//! absent: no placeholder value is ever stored.
//!
//! Foreign-namespace elements at the end of a group are carried along (as
//! [`Extensions`]), so that a newer document survives an older program.

pub mod ae;
pub mod ae_doc;
pub mod any;
pub mod ce;
pub mod ce_doc;
pub mod common;
pub mod database;
pub mod de;
pub mod de_doc;
pub mod element_doc;
pub mod enumeration;
pub mod host;
pub mod needs;
pub mod se;
pub mod se_doc;
pub mod storage_area;
pub mod validate;

pub use self::any::{AnyElement, AnyElementState, AnyHost, AnyHostState, OtherKind};
pub use crate::xml::{Document, DocumentError, DocumentErrorKind, Extension, Extensions};
