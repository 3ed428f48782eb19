//! Whose request it is, when reverse proxies stand between the client and us.
//!
//! Anybody can send `X-Forwarded-For`. So these headers count only when the other end of the connection is one of
//! `TRUSTED_PROXIES`, and of the addresses they list only those that such a proxy wrote: read from the right, the first one
//! that is no trusted proxy is the client. What stands left of it the client may have sent itself.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, net::IpAddr};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use ipnet::IpNet;
use nocrd_proxy_core::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Most proxies in a row that are looked through.
const MAX_HOPS: usize = 32;

/// The reverse proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn new(ranges: Vec<IpNet>) -> Self {
        Self(ranges)
    }

    /// Whether what this address says about the requests it passes on is believed.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|range| range.contains(&ip))
    }

    /// Whose request it is. When a trusted proxy tells which host the client asked for, the request then asks for that one,
    /// so that everybody after this reads the same name.
    pub(crate) fn look_through<'p, B>(&self, request: &mut Request<B>, peer: &'p Peer) -> Cow<'p, Peer> {
        // Most servers have no such proxies, and most requests come over others' connections.
        if self.0.is_empty() || !self.trusts(peer.addr().ip()) {
            return Cow::Borrowed(peer);
        }
        let told = Told::read(request.headers());
        let client = self.client(peer, &told);
        let tls = told.at(&told.schemes, client.hops).map_or(peer.is_tls(), |scheme| {
            ["https", "wss"].iter().any(|secure| scheme.eq_ignore_ascii_case(secure))
        });
        let host = told.at(&told.hosts, client.hops).and_then(|host| HeaderValue::from_str(host).ok());
        let theirs = peer.on_behalf_of(client.ip, tls);
        if let Some(host) = host {
            ask_for(request, host);
        }
        Cow::Owned(theirs)
    }

    fn client(&self, peer: &Peer, told: &Told<'_>) -> Client {
        let other_end = peer.addr().ip().to_canonical();
        let client = self.rightmost(other_end, told.nodes.iter().rev().map(|node| address(node)));
        // A proxy that writes one kind of header passes on what clients send of the other. When they contradict each other,
        // nobody can say which one the proxy wrote.
        let contradicted = told.forwarded.as_ref().is_some_and(|forwarded| {
            self.rightmost(other_end, forwarded.iter().rev().map(|node| node.and_then(address))).ip
                != client.ip
        });
        if contradicted { Client { ip: other_end, hops: 0 } } else { client }
    }

    /// The first of `addresses` that is not trusted. Where one is unknown, it is the proxy that does not know it.
    fn rightmost(&self, other_end: IpAddr, addresses: impl Iterator<Item = Option<IpAddr>>) -> Client {
        let mut client = Client { ip: other_end, hops: 0 };
        for address in addresses.take(MAX_HOPS) {
            let Some(ip) = address else { break };
            client = Client { ip, hops: client.hops + 1 };
            if !self.trusts(ip) {
                break;
            }
        }
        client
    }
}

struct Client {
    ip: IpAddr,
    /// Its place in the list, counted from the right, from 1 on; 0 when it is not in the list.
    hops: usize,
}

/// What the headers say, in the order of the proxies that the request passed.
struct Told<'h> {
    nodes: Vec<&'h str>,
    schemes: Vec<&'h str>,
    hosts: Vec<&'h str>,
    /// The nodes of `Forwarded`, when those of `X-Forwarded-For` are the ones that count.
    forwarded: Option<Vec<Option<&'h str>>>,
}

impl<'h> Told<'h> {
    /// `X-Forwarded-*`, else `Forwarded` (RFC 7239).
    fn read(headers: &'h HeaderMap) -> Self {
        let elements: Vec<Element<'h>> =
            list(headers, &header::FORWARDED).into_iter().map(Element::parse).collect();
        let nodes = list(headers, &X_FORWARDED_FOR);
        let schemes = list(headers, &X_FORWARDED_PROTO);
        let hosts = list(headers, &X_FORWARDED_HOST);
        if nodes.is_empty() && schemes.is_empty() && hosts.is_empty() {
            return Self {
                // An element that names nobody must not make its neighbour somebody else.
                nodes: elements.iter().map(|element| element.node.unwrap_or("unknown")).collect(),
                schemes: elements.iter().filter_map(|element| element.scheme).collect(),
                hosts: elements.iter().filter_map(|element| element.host).collect(),
                forwarded: None,
            };
        }
        let nodes_of_forwarded = || elements.iter().map(|element| element.node).collect();
        let both = !elements.is_empty() && !nodes.is_empty();
        Self { nodes, schemes, hosts, forwarded: both.then(nodes_of_forwarded) }
    }

    /// The entry that belongs to the client's: the one at its place when each proxy added one; else the last, which is the
    /// only one that is known to be a proxy's and not the client's own.
    fn at(&self, list: &[&'h str], hops: usize) -> Option<&'h str> {
        let place = self.nodes.len().checked_sub(hops).filter(|_| hops > 0 && list.len() == self.nodes.len());
        place.map_or(list.last(), |place| list.get(place)).copied().filter(|entry| !entry.is_empty())
    }
}

/// The entries of a list, over all headers of that name.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let values = headers.get_all(name).iter();
    // What is no text is an entry that says nothing.
    values.flat_map(|value| value.to_str().unwrap_or("").split(',')).map(str::trim).collect()
}

/// One element of `Forwarded`: `for=192.0.2.60;proto=http;host=a.example`.
#[derive(Default)]
struct Element<'h> {
    node: Option<&'h str>,
    scheme: Option<&'h str>,
    host: Option<&'h str>,
}

impl<'h> Element<'h> {
    /// Commas in quotes have cut an element into two that make no sense, which is then as good as none: reading quotes over
    /// commas would let a client swallow what a proxy adds.
    fn parse(text: &'h str) -> Self {
        let mut element = Self::default();
        for pair in text.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim();
            let value = value.strip_prefix('"').map_or(Some(value), |value| value.strip_suffix('"'));
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "for" => &mut element.node,
                "proto" => &mut element.scheme,
                "host" => &mut element.host,
                _ => continue,
            };
            *slot = value;
        }
        element
    }
}

/// The address of a node, which may have a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(node: &str) -> Option<IpAddr> {
    let is_port = |rest: &str| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    let ip = if let Some(rest) = node.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        IpAddr::V6(ip.parse().ok().filter(|_| is_port(rest))?)
    } else if let Ok(ip) = node.parse() {
        ip
    } else {
        let (ip, port) = node.split_once(':')?;
        IpAddr::V4(ip.parse().ok().filter(|_| port.parse::<u16>().is_ok())?)
    };
    Some(ip.to_canonical())
}

/// Lets a request ask for `host`, whatever it asked for.
fn ask_for<B>(request: &mut Request<B>, host: HeaderValue) {
    request.headers_mut().insert(header::HOST, host);
    let uri = request.uri();
    // The path stays as it is, byte for byte.
    if uri.authority().is_some()
        && let Some(target) = uri.path_and_query().cloned()
    {
        *request.uri_mut() = Uri::from(target);
    }
}
