//! One stripe from its Hosts.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::block::BlockRead,
};
use tokio::time::{Instant, sleep_until};

use super::{
    super::{Fault, StripeReader},
    BlockHosts,
};

/// How long Hosts may take before others are asked beside them: a Host that
/// stands still should not be noticed, and one that is merely slow costs little
/// more when others are asked as well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fetches what a reader wants of its stripe, whose blocks are on these Hosts by
/// position: from others as well when some fail, or take too long. The reader
/// that comes back has all that it takes to finish.
pub async fn fetch_stripe<H: BlockHosts>(
    hosts: &H,
    placed: &BTreeMap<u8, NodeId>,
    mut reader: StripeReader,
) -> Result<StripeReader, Problem> {
    let mut asked = FuturesUnordered::new();
    let mut patience = Instant::now() + PATIENCE;
    let mut waiting: BTreeMap<u8, usize> = BTreeMap::new();
    loop {
        let reads = match reader.reads() {
            Ok(reads) => reads,
            // Somebody who was given up may answer after all.
            Err(_) if !asked.is_empty() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for (host, reads) in by_host(&reads, placed, &mut reader) {
            for read in &reads {
                *waiting.entry(read.id.position).or_default() += 1;
            }
            asked.push(hosts.read(host, reads));
            patience = Instant::now() + PATIENCE;
        }
        if reader.is_complete() {
            return Ok(reader);
        }
        tokio::select! {
            Some(answers) = asked.next() => {
                for (read, answer) in answers {
                    forget(&mut waiting, read.id.position);
                    take(&mut reader, &read, answer);
                }
            }
            () = sleep_until(patience), if !asked.is_empty() => {
                give_up(&mut reader, &waiting);
                patience = Instant::now() + PATIENCE;
            }
            // Faults were noted without anybody being asked: what next?
            else => {}
        }
    }
}

/// The reads of each Host; positions that are nowhere are faults.
fn by_host(
    reads: &[BlockRead],
    placed: &BTreeMap<u8, NodeId>,
    reader: &mut StripeReader,
) -> BTreeMap<NodeId, Vec<BlockRead>> {
    let mut of_hosts: BTreeMap<NodeId, Vec<BlockRead>> = BTreeMap::new();
    for read in reads {
        match placed.get(&read.id.position) {
            Some(host) => of_hosts.entry(*host).or_default().push(*read),
            None => reader.on_fault(read.id.position, Fault::Missing),
        }
    }
    of_hosts
}

fn forget(waiting: &mut BTreeMap<u8, usize>, position: u8) {
    if let Some(count) = waiting.get_mut(&position) {
        *count -= 1;
        if *count == 0 {
            waiting.remove(&position);
        }
    }
}

fn take(reader: &mut StripeReader, read: &BlockRead, answer: Result<bytes::Bytes, Problem>) {
    match answer {
        Ok(bytes) => reader.on_block(read, &bytes),
        Err(problem) => {
            let fault = match problem.code {
                Code::NotFound => Fault::Missing,
                code => Fault::Away(code),
            };
            reader.on_fault(read.id.position, fault);
        }
    }
}

/// Counts those who have not answered as away, if the stripe can be had
/// without them; their answers are taken all the same if they come first.
fn give_up(reader: &mut StripeReader, waiting: &BTreeMap<u8, usize>) {
    let mut without = reader.clone();
    for position in waiting.keys() {
        without.on_fault(*position, Fault::Away(Code::TimedOut));
    }
    if without.can_go_on() {
        *reader = without;
    }
}
