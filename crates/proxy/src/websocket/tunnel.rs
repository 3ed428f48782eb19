//! An open WebSocket: two pumps and the reasons to end it.

use std::{
    future::poll_fn,
    hash::{BuildHasher as _, RandomState},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until, timeout},
};

use super::{Seat, frames::Farewell, pump::Pump};
use crate::{Drain, Stay};

/// How long one side may stay open after the other has ended, without a byte.
const HALF_CLOSED: Duration = Duration::from_secs(30);
/// How long the client's server may take to hand its connection over, once it was told 101.
const HANDOVER: Duration = Duration::from_secs(10);
/// Stands for "no limit" where a timer needs a moment.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Everything one tunnel needs.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The client's connection.
    pub(crate) client: OnUpgrade,
    /// The pod's connection.
    pub(crate) pod: OnUpgrade,
    /// Longest time without a byte in either direction.
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest time a farewell may take.
    pub(crate) close_timeout: Duration,
    /// When to say it.
    pub(crate) drain: Drain,
    /// Its place among the tunnels that may be open.
    pub(crate) seat: Seat,
    /// How long its user may keep it open.
    pub(crate) stay: Stay,
}

impl Tunnel {
    /// Moves bytes until both sides have ended, one fails, nothing moves for too long, the user's session ends, or the
    /// server drains.
    pub(crate) async fn run(self) {
        let Self { client, pod, idle_timeout, close_timeout, drain, seat, stay } = self;
        let handover = timeout(HANDOVER, async { tokio::try_join!(client, pod) }).await;
        match handover {
            Ok(Ok((client, pod))) => {
                let (client, pod) = (TokioIo::new(client), TokioIo::new(pod));
                let reasons = reasons(&drain, stay);
                let end = relay(client, pod, idle_timeout, close_timeout, reasons).await;
                tracing::debug!(?end, "tunnel closed");
            }
            Ok(Err(error)) => tracing::debug!(%error, "tunnel not opened"),
            Err(_) => tracing::debug!("tunnel not opened in time"),
        }
        drop(seat);
    }
}

/// How a tunnel ended.
#[derive(Debug)]
enum End {
    /// One side ended it, or both did.
    Closed,
    /// Nothing moved for too long, or the farewell took too long.
    TimedOut,
}

/// Waits for a reason of ours to close a tunnel.
async fn reasons(drain: &Drain, stay: Stay) -> Farewell {
    tokio::select! {
        () = drain.started() => Farewell::GoingAway,
        () = stay.over() => Farewell::PolicyViolation,
    }
}

/// The loop of a tunnel.
async fn relay<C, P>(
    mut client: C,
    mut pod: P,
    idle_timeout: Option<Duration>,
    close_timeout: Duration,
    reasons: impl Future<Output = Farewell>,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Pump::new(), Pump::new());
    let mut reasons = pin!(reasons);
    let mut limit = Limit::new(idle_timeout.unwrap_or(NEVER));
    let mut sleep = pin!(sleep_until(limit.deadline()));
    let mut closing = false;
    poll_fn(|cx| {
        if !closing && let Poll::Ready(farewell) = reasons.as_mut().poll(cx) {
            closing = true;
            down.end_with(farewell.frame());
            up.end_with(farewell.masked_frame(random_mask()));
            limit.fix(close_timeout, sleep.as_mut());
        }
        let _ = up.poll(cx, &mut client, &mut pod);
        let _ = down.poll(cx, &mut pod, &mut client);
        if is_over(&up, &down) || is_over(&down, &up) {
            return Poll::Ready(End::Closed);
        }
        if up.take_moved() | down.take_moved() {
            limit.moved();
        }
        if up.is_done() || down.is_done() {
            limit.shorten(HALF_CLOSED, sleep.as_mut());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if limit.is_over() {
                return Poll::Ready(End::TimedOut);
            }
            sleep.as_mut().reset(limit.deadline());
        }
        Poll::Pending
    })
    .await
}

/// Tells whether one direction is done, and nothing that matters can come in the other.
fn is_over(done: &Pump, other: &Pump) -> bool {
    done.is_done() && (other.is_done() || other.is_broken() || other.has_said_last())
}

/// How long a tunnel may go on. The timer is not reset whenever a byte moves; when it fires, it is looked up whether one
/// has.
#[derive(Debug)]
struct Limit {
    last: Instant,
    allowed: Duration,
    fixed: bool,
}

impl Limit {
    fn new(allowed: Duration) -> Self {
        Self { last: Instant::now(), allowed, fixed: false }
    }

    fn deadline(&self) -> Instant {
        self.last + self.allowed
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    fn moved(&mut self) {
        if !self.fixed {
            self.last = Instant::now();
        }
    }

    /// Allows at most `allowed` without a byte.
    fn shorten(&mut self, allowed: Duration, sleep: Pin<&mut Sleep>) {
        if !self.fixed && self.allowed > allowed {
            self.allowed = allowed;
            sleep.reset(self.deadline());
        }
    }

    /// Allows `allowed` from now, whether bytes move or not.
    fn fix(&mut self, allowed: Duration, sleep: Pin<&mut Sleep>) {
        *self = Self { last: Instant::now(), allowed, fixed: true };
        sleep.reset(self.deadline());
    }
}

/// A mask that nobody can foresee: the keys of the standard library's hash maps are random.
fn random_mask() -> [u8; 4] {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    [a, b, c, d]
}
