use super::*;

fn proxies(ranges: &[&str]) -> TrustedProxies {
    TrustedProxies::new(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

/// The client's address, whether it came by TLS, and the host it asked for.
fn seen(trusted: &TrustedProxies, from: &str, headers: &[(&str, &str)]) -> (String, bool, String) {
    let mut request = Request::builder().uri("/a//b?c").header("host", "inside");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    let peer = Peer::new(from.parse().unwrap(), false);
    let client = trusted.look_through(&mut request, &peer);
    assert_eq!(client.addr(), peer.addr());
    assert_eq!(request.uri(), "/a//b?c");
    (client.client().to_string(), client.is_tls(), request.headers()["host"].to_str().unwrap().to_owned())
}

fn client(trusted: &TrustedProxies, headers: &[(&str, &str)]) -> String {
    seen(trusted, "10.0.0.1:9", headers).0
}

const XFF: &str = "x-forwarded-for";

#[test]
fn t31_d05_d36_nobody_but_trusted_proxies_is_believed() {
    let all = [
        (XFF, "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=203.0.113.9;proto=https;host=evil.example"),
        ("x-real-ip", "203.0.113.9"),
        ("x-original-url", "/admin"),
    ];
    for trusted in [proxies(&[]), proxies(&["10.0.0.2/32", "fd00::/8"])] {
        assert_eq!(seen(&trusted, "10.0.0.1:9", &all), ("10.0.0.1".to_owned(), false, "inside".to_owned()));
    }
}

#[test]
fn t31_the_client_is_the_rightmost_that_is_not_trusted() {
    let trusted = proxies(&["10.0.0.0/24", "fd00::/8"]);
    for (value, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        // What a client sends itself stands left of what proxies add.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.7, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("203.0.113.9,10.0.0.3,10.0.0.4", "203.0.113.9"),
        // A client within.
        ("10.0.0.9, 10.0.0.3", "10.0.0.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, fd00::5", "203.0.113.9"),
        // Who can't be read is not looked through.
        ("203.0.113.9, unknown", "10.0.0.1"),
        ("203.0.113.9, unknown, 10.0.0.3", "10.0.0.3"),
        ("203.0.113.9, ", "10.0.0.1"),
        ("203.0.113.9:x", "10.0.0.1"),
        ("203.0.113.999", "10.0.0.1"),
        ("localhost", "10.0.0.1"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(client(&trusted, &[(XFF, value)]), expected, "{value}");
    }
    assert_eq!(client(&trusted, &[(XFF, "1.1.1.1"), (XFF, "203.0.113.9, 10.0.0.3")]), "203.0.113.9");
    assert_eq!(client(&trusted, &[("x-real-ip", "1.1.1.1")]), "10.0.0.1");
    let many = vec!["10.0.0.3"; 10_000].join(",");
    assert_eq!(client(&trusted, &[(XFF, &format!("203.0.113.9,{many}"))]), "10.0.0.3");
}

#[test]
fn t31_forwarded_is_read_as_well() {
    let trusted = proxies(&["10.0.0.0/24"]);
    for (value, expected) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1", "2001:db8::1"),
        ("for=1.1.1.1, for=203.0.113.9;host=a, for=10.0.0.3", "203.0.113.9"),
        ("for=203.0.113.9, for=_hidden", "10.0.0.1"),
        ("for=203.0.113.9, proto=https", "10.0.0.1"),
        // An open quote swallows nothing.
        ("for=\"1.1.1.1, for=203.0.113.9", "203.0.113.9"),
        ("for=1.1.1.1;x=\", for=203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1"),
    ] {
        assert_eq!(client(&trusted, &[("forwarded", value)]), expected, "{value}");
    }
}

#[test]
fn t31_headers_that_contradict_each_other_are_not_believed() {
    let trusted = proxies(&["10.0.0.0/24"]);
    let both = |forwarded: &str| client(&trusted, &[(XFF, "203.0.113.9"), ("forwarded", forwarded)]);
    assert_eq!(both("for=203.0.113.9"), "203.0.113.9");
    assert_eq!(both("for=1.1.1.1"), "10.0.0.1");
    assert_eq!(both("proto=https"), "10.0.0.1");
}

#[test]
fn t31_scheme_and_host_are_those_of_the_client() {
    let trusted = proxies(&["10.0.0.0/24"]);
    let seen = |headers: &[(&str, &str)]| {
        let (_, tls, host) = seen(&trusted, "10.0.0.1:9", headers);
        (tls, host)
    };
    let is = |tls, host: &str| (tls, host.to_owned());
    assert_eq!(seen(&[]), is(false, "inside"));
    assert_eq!(seen(&[("x-forwarded-proto", "HTTPS")]), is(true, "inside"));
    assert_eq!(seen(&[("x-forwarded-proto", "wss")]), is(true, "inside"));
    assert_eq!(seen(&[("x-forwarded-proto", "http")]), is(false, "inside"));
    // Where a proxy added its word to what was there, what was there may be the client's.
    assert_eq!(seen(&[("x-forwarded-proto", "https, http")]), is(false, "inside"));
    assert_eq!(seen(&[("x-forwarded-host", "evil.example, gw.example")]), is(false, "gw.example"));
    let longer = [
        (XFF, "203.0.113.9"),
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-host", "evil.example, gw.example"),
    ];
    assert_eq!(seen(&longer), is(false, "gw.example"));
    let shorter = [(XFF, "1.1.1.1, 203.0.113.9, 10.0.0.3"), longer[1], longer[2]];
    assert_eq!(seen(&shorter), is(false, "gw.example"));
    // With an entry for each proxy it is the client's own.
    let chain = (XFF, "1.1.1.1, 203.0.113.9, 10.0.0.3");
    let lists = [
        chain,
        ("x-forwarded-proto", "https, http, https"),
        ("x-forwarded-host", "evil.example, gw.example, inner"),
    ];
    assert_eq!(seen(&lists), is(false, "gw.example"));
    assert_eq!(seen(&[("forwarded", "for=203.0.113.9;proto=https;host=gw.example")]), is(true, "gw.example"));
}

#[test]
fn a_host_replaces_that_of_an_absolute_target() {
    let trusted = proxies(&["10.0.0.0/24"]);
    let mut request = Request::builder()
        .uri("http://inside/a%2Fb?c")
        .header("x-forwarded-host", "gw.example")
        .body(())
        .unwrap();
    let peer = Peer::new("10.0.0.1:9".parse().unwrap(), false);
    let _ = trusted.look_through(&mut request, &peer);
    assert_eq!(
        (request.uri().to_string().as_str(), &request.headers()["host"]),
        ("/a%2Fb?c", &"gw.example".parse().unwrap())
    );
}

#[test]
fn over_tls_a_proxy_that_says_nothing_is_taken_at_its_connection() {
    let trusted = proxies(&["10.0.0.0/24"]);
    let peer = Peer::new("10.0.0.1:9".parse().unwrap(), true);
    let mut request = Request::builder().uri("/").header(XFF, "203.0.113.9").body(()).unwrap();
    assert!(trusted.look_through(&mut request, &peer).is_tls());
    let mut request = Request::builder().uri("/").header("x-forwarded-proto", "http").body(()).unwrap();
    assert!(!trusted.look_through(&mut request, &peer).is_tls());
}
