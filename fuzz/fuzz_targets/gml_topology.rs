//! Any bytes are read as a topology or refused with a line of the file; a
//! small network that is read can be analysed, and the sums hang together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use link_failures::{impact::Analysis, topology::topology_read};

/// Networks up to this size are analysed as well.
const ANALYSED_MAX: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Ok(topology) = topology_read(bytes) else {
        return;
    };
    let network = &topology.network;
    let (nodes, links) = (network.ids().len(), network.links().len());
    assert!(topology.labels.keys().all(|id| network.ids().contains(id)));
    if nodes > ANALYSED_MAX || links > ANALYSED_MAX {
        return;
    }
    let mut analysis = Analysis::new(network);
    let mut increases = vec![0; links];
    for start in 0..u32::try_from(nodes).expect("few") {
        analysis.start_node(start, &mut increases);
    }
    let pairs = (nodes * nodes.saturating_sub(1) / 2) as u64;
    for (link, increase) in (0..).zip(&increases) {
        let lost = analysis.disconnected_pairs(link);
        assert!(lost <= pairs);
        assert!(lost == 0 || *increase == 0, "a bridge has no way round");
    }
});
