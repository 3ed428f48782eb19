//! Answering the other replicas, on a listener that serves nothing else.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use ::http::{Method, Request, Response, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Pod;
use nocrd_model::Namespace;
use serde::Deserialize as _;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use super::{
    PATH, Peers, addresses,
    badge::Badge,
    candidate,
    exchange::{Half, Parties},
    wire::{self, Answer, MAX_BYTES, Question},
};
use crate::listener::Seats;

/// How long a connection may last: one question.
const CONNECTION: Duration = Duration::from_secs(10);
/// How long its head may take, and then its body: who asks has nothing to think about.
const SILENCE: Duration = Duration::from_secs(2);
/// Connections at a time; others wait in the system's queue.
const CONNECTIONS: usize = 32;
/// Of these, from one address: a replica asks once at a time. More are closed at once.
const FROM_ONE: usize = 4;

/// A question that is not answered with a key. Who asks is told no more than the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("there is nothing else here")]
    NotFound,
    #[error("it is no question")]
    Malformed,
    #[error("the token is not accepted")]
    Token,
    #[error("it runs under another service account")]
    OtherAccount,
    #[error("the cluster has no such pod")]
    NoSuchPod,
    #[error("it came from another address than the pod's")]
    OtherAddress,
    #[error("nobody can tell at the moment whether it is a replica")]
    Unsure,
    #[error("there is no key yet")]
    NoKey,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Token | Self::OtherAccount | Self::NoSuchPod | Self::OtherAddress => StatusCode::FORBIDDEN,
            Self::Unsure => StatusCode::BAD_GATEWAY,
            Self::NoKey => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Peers {
    /// Answers for ever.
    pub(in super::super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let seats = Seats::new(FROM_ONE);
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a replica's connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (peers, from) = (Arc::clone(&self), from.ip().to_canonical());
            let Some(seat) = seats.take(from) else { continue };
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let peers = Arc::clone(&peers);
                    async move { Ok::<_, Infallible>(peers.respond(request, from).await) }
                });
                let serving = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(SILENCE)
                    .keep_alive(false)
                    .max_buf_size(16 * 1024)
                    .serve_connection(TokioIo::new(stream), service);
                let _ = tokio::time::timeout(CONNECTION, serving).await;
                drop((place, seat));
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn respond(&self, request: Request<Incoming>, from: IpAddr) -> Response<Full<Bytes>> {
        let (status, body) = match self.answer(request, from).await {
            Ok(answer) => (StatusCode::OK, serde_json::to_vec(&answer).unwrap_or_default()),
            Err(refusal) => {
                match refusal {
                    Refusal::NoKey => tracing::debug!(%from, %refusal, "a replica asked for the session key"),
                    _ => tracing::warn!(%from, %refusal, "the session key was asked for, and not given"),
                }
                (refusal.status(), Vec::new())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let no_store = ::http::HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, no_store);
        response
    }

    async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Result<Answer, Refusal> {
        if request.method() != Method::POST || request.uri().path() != PATH {
            return Err(Refusal::NotFound);
        }
        let body = Limited::new(request.into_body(), MAX_BYTES).collect();
        let body = tokio::time::timeout(SILENCE, body).await.map_err(|_| Refusal::Malformed)?;
        let body = body.map_err(|_| Refusal::Malformed)?.to_bytes();
        let question: Question = serde_json::from_slice(&body).map_err(|_| Refusal::Malformed)?;
        let public = STANDARD.decode(&question.public).map_err(|_| Refusal::Malformed)?;

        let asker = self.badges.check(&question.token).await.map_err(|error| {
            tracing::debug!(%from, %error, "a replica's token");
            Refusal::Token
        })?;
        let myself = self.myself().await.map_err(|error| {
            tracing::warn!(%error, "this replica can't answer others");
            Refusal::Unsure
        })?;
        if !asker.is_colleague_of(&myself.badge) {
            return Err(Refusal::OtherAccount);
        }
        self.check_pod(&asker, from).await?;

        let held = self.held.borrow().clone().ok_or(Refusal::NoKey)?;
        let half = Half::generate().ok_or(Refusal::Unsure)?;
        let our_public = STANDARD.encode(&half.public);
        let parties = Parties { asker: &asker.pod_uid, peer: &myself.badge.pod_uid };
        let plain = wire::to_json(&held).ok_or(Refusal::Unsure)?;
        let sealed = half.seal(&public, parties, &plain).ok_or(Refusal::Malformed)?;
        tracing::info!(replica = asker.pod, "the session key was given to a replica");
        Ok(Answer { token: myself.token, public: our_public, sealed: STANDARD.encode(sealed) })
    }

    /// Asks the API server whether the pod that the token is bound to is a replica, and at that address.
    async fn check_pod(&self, asker: &Badge, from: IpAddr) -> Result<(), Refusal> {
        let namespace = Namespace::parse(&asker.namespace).map_err(|_| Refusal::NoSuchPod)?;
        let pod = self.cluster.get_pod(&namespace, &asker.pod).await.map_err(|error| match error {
            nocrd_cluster::Error::NotFound { .. } => Refusal::NoSuchPod,
            error => {
                tracing::warn!(%error, "a replica's pod can't be read");
                Refusal::Unsure
            }
        })?;
        let pod = Pod::deserialize(pod).map_err(|_| Refusal::Unsure)?;
        let is_it = pod.metadata.uid.as_deref() == Some(asker.pod_uid.as_str());
        if !is_it || !candidate::is_replica(&pod, asker) || candidate::is_over(&pod) {
            return Err(Refusal::NoSuchPod);
        }
        if addresses(&pod).any(|address| address == from) { Ok(()) } else { Err(Refusal::OtherAddress) }
    }
}
