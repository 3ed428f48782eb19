//! The other end of a client's connection.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// Who is connected, as the server that accepted the connection believes it. Make one per connection, not per request:
/// it holds the header that carries the address.
#[derive(Debug, Clone)]
pub struct Peer {
    addr: SocketAddr,
    client: IpAddr,
    tls: bool,
    forwarded_for: HeaderValue,
}

impl Peer {
    /// A client at `addr`, connected over TLS or not. Reverse proxies in front of the server are not looked through:
    /// see [`Self::on_behalf_of`].
    #[must_use]
    pub fn new(addr: SocketAddr, tls: bool) -> Self {
        let client = addr.ip().to_canonical();
        Self { addr, client, tls, forwarded_for: address(client) }
    }

    /// The same connection with a request that its other end passes on for somebody else, and by which scheme they came to
    /// it. Believe that only of reverse proxies that you trust.
    #[must_use]
    pub fn on_behalf_of(&self, client: IpAddr, tls: bool) -> Self {
        let client = client.to_canonical();
        Self { addr: self.addr, client, tls, forwarded_for: address(client) }
    }

    /// The other end of the connection.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whose request it is: the address of the connection's other end, or of whom that speaks for.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether the client speaks TLS, with us or with whom speaks for it.
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

fn address(ip: IpAddr) -> HeaderValue {
    HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_told_as_the_ipv4_address_it_is() {
        let peer = Peer::new("[::ffff:192.0.2.1]:5".parse().unwrap(), true);
        assert_eq!((peer.forwarded_for().to_str().unwrap(), peer.scheme()), ("192.0.2.1", "https"));
    }

    #[test]
    fn somebody_elses_request_is_theirs() {
        let peer = Peer::new("10.0.0.1:5".parse().unwrap(), false);
        let theirs = peer.on_behalf_of("::ffff:192.0.2.1".parse().unwrap(), true);
        assert_eq!((theirs.forwarded_for().to_str().unwrap(), theirs.scheme()), ("192.0.2.1", "https"));
        assert_eq!((theirs.addr(), theirs.client().to_string().as_str()), (peer.addr(), "192.0.2.1"));
    }
}
