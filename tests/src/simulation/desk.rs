//! Questions on their way, as a stream's peer keeps them.

use std::collections::BTreeMap;

use super::{
    message::{Body, Message},
    stage::{Conn, Node, Stage, Time},
    timer::Timer,
};

/// What was asked of whom; `A` says what the answer is for.
pub(crate) struct Desk<A> {
    open: BTreeMap<u64, (Conn, A)>,
    last: u64,
}

impl<A> Default for Desk<A> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            last: 0,
        }
    }
}

impl<A> Desk<A> {
    /// Asks.
    pub(crate) fn ask(
        &mut self,
        stage: &mut Stage,
        node: Node,
        conn: Conn,
        patience: Time,
        body: Body,
        what: A,
    ) {
        self.last += 1;
        self.open.insert(self.last, (conn, what));
        stage.send(node, conn, Message::Ask(self.last, body));
        stage.timer(node, patience, Timer::Patience(self.last));
    }

    /// A number for something else that is answered once.
    pub(crate) const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The answer has come, or does not come any more.
    pub(crate) fn take(&mut self, number: u64) -> Option<(Conn, A)> {
        self.open.remove(&number)
    }

    /// A stream is lost, and with it what was asked on it.
    pub(crate) fn on_closed(&mut self, conn: Conn) -> Vec<A> {
        let lost: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, (there, _))| *there == conn)
            .map(|(number, _)| *number)
            .collect();
        lost.into_iter()
            .filter_map(|number| self.open.remove(&number))
            .map(|(_, what)| what)
            .collect()
    }
}
