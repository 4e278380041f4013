//! Access keys of a Data Element: user names and passwords for PostgreSQL's protocol.
//!
//! SCRAM needs no secret at the Element, but what a secret is verified with
//! (`verifier`): whoever reads the Element's disk learns no password. The keys are in a
//! file of their own (`store`), which is on the disk before a new key is told; `desk`
//! makes, lists and removes them for the controller.

mod desk;
mod store;
mod verifier;

pub(super) use self::{
    store::{Keys, KnownKey},
    verifier::{Verifier, hash, mac},
};
