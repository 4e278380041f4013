//! The bounds of a door.

use std::time::Duration;

/// What part of the files that a process may have open its door takes at most;
/// the rest is for its work.
const OPEN_FILES_SHARE: u64 = 2;
/// Fewer connections than these are of no use.
const CONNECTIONS_MIN: u32 = 16;

/// The bounds of a door.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// Connections at a time that have shaken hands, upgraded ones included; a
    /// quarter of them is kept for nodes.
    pub connections: u32,
    /// Of these, programs of one address (of IPv6: one network of 64 bits).
    pub programs_per_address: u32,
    /// Connections at a time that have not shaken hands yet.
    pub arriving: u32,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's head may take, and how long a connection may idle.
    pub header: Duration,
    /// The most headers of a request.
    pub headers: usize,
    /// The most bytes of a request's head; at least 8192.
    pub header_bytes: usize,
    /// Bytes of messages that are not whole, or not handled yet, on the streams
    /// of all programs together, above what each stream has free.
    pub intake_bytes: usize,
    /// A peer that takes no bytes for this long is cut.
    pub write_stall: Duration,
    /// How long requests and streams may go on when the door ends.
    pub grace: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            programs_per_address: 512,
            arriving: 1024,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            headers: 64,
            header_bytes: 16 * 1024,
            intake_bytes: 64 * 1024 * 1024,
            write_stall: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

impl DoorLimits {
    /// Connections that programs may have together.
    pub(super) const fn programs(&self) -> u32 {
        self.connections - self.connections / 4
    }

    /// The same within what the process may have open.
    pub(super) fn affordable(self) -> Self {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.within(open_files.unwrap_or(u64::MAX))
    }

    fn within(self, open_files: u64) -> Self {
        let room = u32::try_from(open_files / OPEN_FILES_SHARE).unwrap_or(u32::MAX);
        let wanted = self.connections.saturating_add(self.arriving);
        if wanted <= room {
            return self;
        }
        // Four fifths have shaken hands, as in the defaults.
        let arriving = (room / 5).clamp(CONNECTIONS_MIN, self.arriving.max(CONNECTIONS_MIN));
        let connections = room
            .saturating_sub(arriving)
            .clamp(CONNECTIONS_MIN, self.connections.max(CONNECTIONS_MIN));
        tracing::warn!(
            open_files,
            connections,
            arriving,
            "the limit of open files allows fewer connections than the door is made for"
        );
        Self {
            connections,
            arriving,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_leaves_files_for_the_work() {
        let whole = DoorLimits::default();
        let same = whole.within(1 << 20);
        assert_eq!((same.connections, same.arriving), (4096, 1024));
        let few = whole.within(1024);
        assert_eq!((few.connections, few.arriving), (410, 102));
        assert_eq!(whole.within(0).connections, CONNECTIONS_MIN);
    }
}
