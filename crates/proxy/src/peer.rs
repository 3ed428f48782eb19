//! The other end of a client's connection.

use std::net::SocketAddr;

use http::HeaderValue;

/// Who is connected, as the server that accepted the connection believes it. Make one per connection, not per request:
/// it holds the header that carries the address.
#[derive(Debug, Clone)]
pub struct Peer {
    addr: SocketAddr,
    tls: bool,
    forwarded_for: HeaderValue,
}

impl Peer {
    /// A client at `addr`, connected over TLS or not. Reverse proxies in front of the server are not looked through:
    /// their own address is the peer's.
    #[must_use]
    pub fn new(addr: SocketAddr, tls: bool) -> Self {
        let ip = addr.ip().to_canonical().to_string();
        let forwarded_for = HeaderValue::from_str(&ip).unwrap_or(HeaderValue::from_static("unknown"));
        Self { addr, tls, forwarded_for }
    }

    /// The address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether the client speaks TLS with us.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The URL scheme the client used.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The address as `X-Forwarded-For` carries it: without a port.
    pub(crate) fn forwarded_for(&self) -> HeaderValue {
        self.forwarded_for.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_told_as_the_ipv4_address_it_is() {
        let peer = Peer::new("[::ffff:192.0.2.1]:5".parse().unwrap(), true);
        assert_eq!((peer.forwarded_for().to_str().unwrap(), peer.scheme()), ("192.0.2.1", "https"));
    }
}
