//! Access keys: with which programs sign requests at the S3 door.
//!
//! Signatures of S3 need the secret itself, so it is kept, sealed under a key
//! that stands in a file of its own in the data folder and never in the log: who
//! reads a Host's disk learns no secret. The price: when that file is lost, the
//! metadata that is rebuilt from Hosts holds keys that nobody can open. They are
//! refused like unknown ones, and their persons make new ones; whoever wants to
//! spare them that keeps a copy of the file `access-keys.key`. Where the file is gone
//! and something is sealed under it, the Element does not start: a new key is made by
//! who knows what is lost.

mod desk;
mod sealing;

pub(crate) use self::sealing::SealingKey;
