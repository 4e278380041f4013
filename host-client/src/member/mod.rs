//! What every Host is, whatever its goods: one process that has its data folder
//! to itself, has joined an Element, keeps a stream to it and a door for
//! programs, and does what the Element wishes.
//!
//! Map: `joined` starts and ends it; `join` is how it got its identity, `member`
//! what its parts share; `comm` speaks with the Element (`telling` and `renewal`
//! by themselves), `trust` keeps the key by which the Element's tickets are
//! judged, `command` what should be, by the core `orders`; `entrance` and `door`
//! are where programs come in, `relay` where the Host has no door of its own.
//! What a kind of goods adds stands behind [`Goods`].

mod comm;
mod command;
mod config;
mod disk_watch;
mod door;
mod entrance;
mod error;
mod goods;
mod join;
mod joined;
#[expect(
    clippy::module_inception,
    reason = "the member is what the parts share"
)]
mod member;
pub mod orders;
mod profile;
mod relay;
mod renewal;
mod telling;
mod trust;

pub(crate) use self::{
    comm::blocking,
    disk_watch::{COMPLAINT, DiskWatch},
    door::nothing_there,
    goods::{Goods, Shape},
    joined::Joined,
    member::Member,
    profile::Profile,
};
pub use self::{config::MemberConfig, error::HostError};
