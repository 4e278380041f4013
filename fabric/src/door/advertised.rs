//! How others are told to reach a door, where that is not where it listens:
//! behind a forwarded port, or by a name.

/// Gives `HOST:PORT` from `HOST` or `HOST:PORT`; the door's own port where
/// none is named. An IPv6 address that names a port stands in brackets.
pub fn endpoint(advertised: &str, port: u16) -> String {
    let (host, named) = parts(advertised);
    let port = named.unwrap_or(port);
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Gives the name or address of what may name a port as well.
pub fn host_of(advertised: &str) -> &str {
    parts(advertised).0
}

fn parts(advertised: &str) -> (&str, Option<u16>) {
    let whole = (advertised, None);
    let Some((host, port)) = advertised.rsplit_once(':') else {
        return whole;
    };
    let is_alone = !host.contains(':') || host.ends_with(']');
    match port.parse() {
        Ok(port) if is_alone => (host, Some(port)),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_named_is_kept() {
        for (advertised, whole, host) in [
            ("ce.lab", "ce.lab:1", "ce.lab"),
            ("ce.lab:7709", "ce.lab:7709", "ce.lab"),
            ("192.0.2.1:7709", "192.0.2.1:7709", "192.0.2.1"),
            ("::1", "[::1]:1", "::1"),
            ("[::1]", "[::1]:1", "[::1]"),
            ("[::1]:7709", "[::1]:7709", "[::1]"),
        ] {
            assert_eq!(endpoint(advertised, 1), whole);
            assert_eq!(host_of(advertised), host);
        }
    }
}
