//! The Data Element: a pool of data Hosts, and the databases on them.
//!
//! `pool` knows, as a plain state without I/O, which Hosts count and which have to be
//! probed; `state` sums them up; `goods` says what of it happens when, and is what an
//! `Element` of this kind has on its shelf. What has to survive is in `DEDoc.xml`
//! (`document`): which databases there are, where their copies are, who may see what.
//!
//! `register` makes, lists and changes databases for the controller, `shadows` their
//! copies: one more, one less, another core (`choice` says which). `keep` has Hosts do
//! what the document says, `gates` keep writes out while a core changes, `checks` has
//! shadows compared with their cores. Programs come to the `door`, all that speak
//! PostgreSQL's protocol to `postgres`, with their persons' `keys`; a statement is judged
//! by `sql`
//! against the schema (`schemas`) and the rules of its person (`rules`), `route` says
//! on which Hosts it may run, and `hosts` are the ways there. A `transaction` of several
//! statements stays with the core; a `block` is what its program knows of it. `sessions` are those of both doors, for people to see
//! and to end.

mod asker;
mod block;
mod checks;
mod choice;
mod document;
mod door;
mod gates;
mod goods;
mod hosts;
pub mod judgements;
mod keep;
mod keys;
mod limits;
mod order;
mod parameter;
mod parts;
pub mod pool;
mod postgres;
mod promoting;
mod register;
mod route;
mod rules;
mod schemas;
mod sessions;
mod shadows;
pub mod sql;
pub mod state;
mod statement;
mod transaction;

use tokio_util::sync::CancellationToken;

use self::goods::Data;
use crate::{
    config::Config,
    element::{self, Element},
    run::ElementError,
};

/// A running Data Element.
type De = Element<Data>;

/// Runs a Data Element until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ElementError> {
    element::start::run::<Data>(config, stop).await
}
