use tokio::net::TcpListener;

use crate::Error;

/// Binds host and port; of the addresses a name has, the first that works.
///
/// # Errors
/// [`Error::Listen`], which names the address and knows what to do; about `PORT`, until somebody says otherwise.
pub(crate) async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).await.map_err(|source| Error::Listen {
        address: authority(host, port),
        setting: "PORT",
        source,
    })
}

/// `host:port`, with brackets around an IPv6 address.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let taken = bind("127.0.0.1", 0).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind("127.0.0.1", port).await.unwrap_err();
        assert_eq!(error.to_string(), format!("can't listen on 127.0.0.1:{port}"));
        assert!(error.advice().unwrap().contains("--port or PORT (0"), "{error:?}");
        let error = error.of_port("METRICS_PORT");
        assert!(error.advice().unwrap().contains("--metrics-port or METRICS_PORT."), "{error:?}");
        assert!(matches!(error, Error::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse));
    }

    #[test]
    fn ipv6_addresses_have_brackets() {
        assert_eq!(authority("::1", 80), "[::1]:80");
        assert_eq!(authority("localhost", 80), "localhost:80");
    }
}
