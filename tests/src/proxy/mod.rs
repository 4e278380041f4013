//! A forwarding TCP proxy that misbehaves as networks do: it stands between a
//! role and the door that the role is told to dial, and sees only bytes.
//!
//! Faults are set while it runs, for all connections that stand and all that
//! come ([`Proxy::way`]), or for one connection ([`Proxy::connections`]):
//! [`Way::delay`], [`Way::rate`], [`Way::silent`]; [`Connection::cut`],
//! [`Connection::inject`]. A side that vanishes without a word is a silence
//! during which that side goes away: what it says at its end is held back as
//! well.
//!
//! Invariants: a silence loses no byte, it holds them back; bytes of one
//! direction stay in order; dropping the proxy resets what it carries.

mod connection;
#[cfg(test)]
mod tests;

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

pub use self::connection::Connection;
use self::connection::Ends;

/// Pause between two looks whether a silence is over.
const POLL: Duration = Duration::from_millis(5);

/// A direction, as seen from the side that dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the door.
    In,
    /// Back from the door.
    Out,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];

    const fn index(self) -> usize {
        match self {
            Self::In => 0,
            Self::Out => 1,
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With FIN, after everything that was on its way.
    Fin,
    /// With RST, at once.
    Reset,
}

/// How one direction of a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    delay: Duration,
    rate: Option<u32>,
    silent: bool,
}

impl Way {
    /// A way without a fault.
    pub fn good() -> Self {
        Self::default()
    }

    /// Every byte arrives so much later.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// At most so many bytes a second.
    pub const fn rate(mut self, bytes: u32) -> Self {
        self.rate = Some(bytes);
        self
    }

    /// Nothing arrives, neither bytes nor the end; it arrives when the silence
    /// is over.
    pub const fn silent(mut self) -> Self {
        self.silent = true;
        self
    }
}

/// What all tasks of a proxy share.
#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    ways: Mutex<[Way; 2]>,
    connections: Mutex<Vec<Connection>>,
    refuses: AtomicBool,
    accepted: AtomicU64,
    stop: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Stands before a door, at a free port.
    #[track_caller]
    pub fn before(door: &str) -> Self {
        Self::at("127.0.0.1:0", door)
    }

    /// Stands before a door, at this address.
    #[track_caller]
    pub fn at(address: &str, door: &str) -> Self {
        let listener = StdListener::bind(address)
            .unwrap_or_else(|error| panic!("nothing can listen at {address}: {error}"));
        listener
            .set_nonblocking(true)
            .expect("a socket can be set to not block");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            target: Mutex::new(socket_address(door)),
            ways: Mutex::default(),
            connections: Mutex::default(),
            refuses: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            stop: CancellationToken::new(),
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let accepting = accept(listener, Arc::clone(&shared));
        runtime.spawn(accepting);
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port where it listens.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads connections that come from now on to another door.
    #[track_caller]
    pub fn lead_to(&self, door: &str) {
        *self.shared.target.lock() = socket_address(door);
    }

    /// Sets how a direction is, of all connections that stand and that come.
    pub fn way(&self, direction: Direction, way: Way) {
        self.shared.ways.lock()[direction.index()] = way;
        for connection in self.connections() {
            connection.way(direction, way);
        }
    }

    /// Sets how both directions are.
    pub fn ways(&self, way: Way) {
        for direction in Direction::BOTH {
            self.way(direction, way);
        }
    }

    /// Is as a network that is down and says so: resets what stands and what
    /// comes.
    pub fn down(&self) {
        self.shared.refuses.store(true, Ordering::SeqCst);
        for connection in self.connections() {
            connection.cut(Cut::Reset);
        }
    }

    /// Takes connections again, without faults.
    pub fn up(&self) {
        self.ways(Way::good());
        self.shared.refuses.store(false, Ordering::SeqCst);
    }

    /// The connections that stand, oldest first.
    pub fn connections(&self) -> Vec<Connection> {
        let mut connections = self.shared.connections.lock();
        connections.retain(|connection| !connection.has_ended());
        connections.clone()
    }

    /// How many connections have come so far, those that were refused included.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            // Not from within another runtime, which tests may have.
            let ended = thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(1)));
            // A panic there would have been printed.
            let _ = ended.join();
        }
    }
}

fn socket_address(door: &str) -> SocketAddr {
    door.parse()
        .unwrap_or_else(|error| panic!("{door} is no address: {error}"))
}

async fn accept(listener: StdListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the listener fits the runtime");
    loop {
        let accepted = shared.stop.run_until_cancelled(listener.accept()).await;
        match accepted {
            None => return,
            Some(Ok((dialler, _))) => {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                if shared.refuses.load(Ordering::SeqCst) {
                    reset(&dialler);
                    continue;
                }
                tokio::spawn(carry(number, dialler, Arc::clone(&shared)));
            }
            // Of a connection that is gone already.
            Some(Err(_)) => tokio::task::yield_now().await,
        }
    }
}

async fn carry(number: u64, dialler: TcpStream, shared: Arc<Shared>) {
    // Whoever comes into a silence does not even learn whether there is a door.
    let silent = || shared.ways.lock()[Direction::In.index()].silent;
    while silent() && !shared.stop.is_cancelled() {
        tokio::time::sleep(POLL).await;
    }
    let target = *shared.target.lock();
    let Ok(door) = TcpStream::connect(target).await else {
        return reset(&dialler);
    };
    // A socket that is gone already shows with its first byte.
    let _ = (dialler.set_nodelay(true), door.set_nodelay(true));
    let (connection, ends) = {
        // Held, so that no fault is set in between.
        let mut connections = shared.connections.lock();
        let (connection, ends) = Ends::new(number, *shared.ways.lock());
        connections.push(connection.clone());
        (connection, ends)
    };
    // `down` may have looked at the connections before this one was among them.
    if shared.refuses.load(Ordering::SeqCst) {
        connection.cut(Cut::Reset);
    }
    ends.carry(dialler, door, &shared.stop).await;
}

/// Lets the socket's end be a RST.
fn reset(socket: &TcpStream) {
    // It may be gone.
    let _ = socket.set_zero_linger();
}
