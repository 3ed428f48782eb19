//! Asking the other replicas.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ::http::{Request, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::{
    Myself, PATH, Peers, Unable,
    candidate::{self, Candidate},
    exchange::{Half, Parties},
    round::{Round, Said},
    wire::{self, Answer, MAX_BYTES, Question},
};

/// How long a peer may take to take the connection, and to answer.
const CONNECT: Duration = Duration::from_secs(1);
const EXCHANGE: Duration = Duration::from_secs(5);
/// Peers that are asked at a time.
const AT_ONCE: usize = 8;

/// Why a peer gave nothing.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("nobody listens")]
    Refused,
    #[error("no answer: {0}")]
    Io(#[from] io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("it has no key yet")]
    NotYet,
    #[error("it refuses, with status {0}")]
    Status(u16),
    #[error("its answer makes no sense")]
    Nonsense,
    #[error("it is not the pod that was asked")]
    Impostor,
    #[error("its proof is not accepted: {0}")]
    Unproven(#[source] Unable),
}

impl Peers {
    /// Asks all replicas for their key.
    pub(in super::super) async fn ask(&self) -> Result<Round, Unable> {
        let myself = self.myself().await?;
        let pods = self.pods(&myself.badge).await?;
        let replicas = candidate::replicas(&pods, &myself.badge);
        let (myself, from) = (&myself, replicas.address);
        let answers = stream::iter(replicas.running)
            .map(|peer| async move {
                let said = match self.ask_one(myself, &peer, from).await {
                    Ok(held) => Said::Key(held),
                    Err(silence) => {
                        tracing::debug!(peer = %peer.address, %silence, "a replica gave no session key");
                        if let Silence::Impostor | Silence::Unproven(_) = silence {
                            tracing::warn!(peer = %peer.address, %silence, "a session key was not taken");
                        }
                        match silence {
                            Silence::Refused | Silence::NotYet => Said::Nothing,
                            _ => Said::Unclear,
                        }
                    }
                };
                (peer.rank, said)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        Ok(Round { own: replicas.own, is_eldest: replicas.is_eldest, answers })
    }

    async fn ask_one(
        &self,
        myself: &Myself,
        peer: &Candidate,
        from: Option<IpAddr>,
    ) -> Result<super::super::material::Held, Silence> {
        let half = Half::generate().ok_or(Silence::Nonsense)?;
        let question = Question { token: myself.token.clone(), public: STANDARD.encode(&half.public) };
        let address = SocketAddr::new(peer.address, self.config.port);
        let answer = tokio::time::timeout(EXCHANGE, exchange(address, from, &question))
            .await
            .map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        // Who says so comes first: what an impostor sent is not even decrypted.
        let badge = self.badges.check(&answer.token).await.map_err(Silence::Unproven)?;
        if !badge.is_colleague_of(&myself.badge) || badge.pod_uid != peer.uid {
            return Err(Silence::Impostor);
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| Silence::Nonsense);
        let parties = Parties { asker: &myself.badge.pod_uid, peer: &peer.uid };
        let plain = half.open(&decode(&answer.public)?, parties, &decode(&answer.sealed)?);
        wire::from_json(&plain.ok_or(Silence::Nonsense)?).ok_or(Silence::Nonsense)
    }
}

/// Connects from our own address as the cluster knows it, for the peer compares it with that. No proxy is ever asked.
async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from.filter(|from| from.is_ipv4() == to.is_ipv4()) {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    tokio::time::timeout(CONNECT, socket.connect(to)).await.map_err(|_| ErrorKind::TimedOut)?
}

async fn exchange(to: SocketAddr, from: Option<IpAddr>, question: &Question) -> Result<Answer, Silence> {
    let stream = connect(to, from).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => Silence::Refused,
        _ => Silence::Io(error),
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let body = serde_json::to_vec(question).map_err(|_| Silence::Nonsense)?;
    let request = Request::post(PATH)
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| Silence::Nonsense)?;
    let answering = async {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => return Err(Silence::NotYet),
            status => return Err(Silence::Status(status.as_u16())),
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|_| Silence::Nonsense)?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| Silence::Nonsense)
    };
    // The connection works as long as it is polled; it ends with the answer.
    let mut connection = std::pin::pin!(connection);
    let mut answering = std::pin::pin!(answering);
    tokio::select! {
        biased;
        answer = &mut answering => answer,
        ended = &mut connection => {
            ended?;
            answering.await
        }
    }
}
