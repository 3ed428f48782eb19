//! A request's body on its way to a pod, and the time a pod has to answer.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::permission::{Asking, Permission};
use crate::{BoxError, Error, Received, directory::Place, headers::clean_request_trailers};

/// The body of a request to a pod.
#[derive(Debug, Default)]
pub(crate) enum Outgoing {
    /// None.
    #[default]
    Empty,
    /// What a client sends, as it arrives.
    Upload {
        body: Incoming,
        progress: Arc<Progress>,
        /// Until the pod has said that it wants it.
        asking: Option<Asking>,
        received: Option<Received>,
        /// Its request's, which has one for as long as there is something left of it.
        _place: Place,
    },
}

/// How far a client's body has come.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    /// When the last piece was passed on, in milliseconds after `start`.
    last: AtomicU64,
    /// The pod would take more, but the client has sent none.
    is_waiting: AtomicBool,
    has_failed: AtomicBool,
    /// Where the pod is asked before.
    permission: Option<Permission>,
    cut: Mutex<Cut>,
}

/// Whether somebody has cut a body off, and whom to tell when they do.
#[derive(Debug)]
enum Cut {
    No(Option<Waker>),
    Yes,
}

/// The answer has ended, and nobody waits for the rest of the body.
#[derive(Debug, thiserror::Error)]
#[error("the request's body went on after the answer")]
struct Late;

impl Outgoing {
    /// Takes over a client's body; `received` wants to know how much of it has come. The place is given back for the answer.
    pub(crate) fn new(body: Incoming, received: Option<Received>, place: Place) -> (Self, Place) {
        if body.is_end_stream() {
            return (Self::Empty, place);
        }
        let (place, answers) = place.share();
        let progress = Arc::new(Progress::new(None));
        (Self::Upload { body, progress, asking: None, received, _place: place }, answers)
    }

    /// Lets the pod be asked whether it wants the request's body before that is read.
    pub(crate) fn ask_first(request: &mut Request<Self>) {
        if matches!(request.body(), Self::Empty) {
            return;
        }
        let (permission, wait) = Permission::ask(request);
        request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        if let Self::Upload { progress, asking, .. } = request.body_mut() {
            *progress = Arc::new(Progress::new(Some(permission)));
            *asking = Some(wait);
        }
    }

    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Upload { progress, .. } => Some(Arc::clone(progress)),
        }
    }
}

impl Progress {
    fn new(permission: Option<Permission>) -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            is_waiting: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            permission,
            cut: Mutex::new(Cut::No(None)),
        }
    }

    /// Ends the body, at the latest when a part of it that has been handed on is sent.
    pub(super) fn cut(&self) {
        let before =
            std::mem::replace(&mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner), Cut::Yes);
        if let Cut::No(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Whether the body was cut off; if not, the task is woken when it is.
    fn is_cut(&self, cx: &Context<'_>) -> bool {
        match &mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner) {
            Cut::Yes => true,
            Cut::No(Some(waker)) => {
                waker.clone_from(cx.waker());
                false
            }
            Cut::No(none) => {
                *none = Some(cx.waker().clone());
                false
            }
        }
    }

    fn moved(&self) {
        let elapsed = self.start.elapsed().as_millis();
        self.last.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Relaxed);
        self.is_waiting.store(false, Relaxed);
    }

    /// When the last piece was passed on.
    pub(super) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Relaxed))
    }

    pub(super) fn permission(&self) -> Option<&Permission> {
        self.permission.as_ref()
    }

    /// Tells whether the client's body broke off or was malformed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Relaxed)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Upload { body, progress, asking, received, .. } = &mut *self else {
            return Poll::Ready(None);
        };
        if progress.is_cut(cx) {
            return Poll::Ready(Some(Err(Late.into())));
        }
        if let Some(wait) = asking {
            ready!(wait.poll(cx))?;
            *asking = None;
        }
        let mut next = Pin::new(&mut *body).poll_frame(cx);
        match &mut next {
            Poll::Pending => {
                progress.is_waiting.store(true, Relaxed);
                if let Some(received) = received {
                    received.wanted();
                }
            }
            Poll::Ready(frame) => {
                progress.moved();
                let mut whole = body.is_end_stream();
                match frame {
                    Some(Ok(frame)) => {
                        if let Some(trailers) = frame.trailers_mut() {
                            clean_request_trailers(trailers);
                            whole = true;
                        }
                    }
                    Some(Err(_)) => progress.has_failed.store(true, Relaxed),
                    None => whole = true,
                }
                match received {
                    Some(received) if whole => received.whole(),
                    Some(received) => received.part(),
                    None => {}
                }
            }
        }
        next.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload { body, .. } => body.size_hint(),
        }
    }
}

/// Waits for an answer at most `limit` after the last piece of the request's body was passed on.
///
/// # Errors
/// [`Error::RequestTimeout`] when it is the client that makes everybody wait, else [`Error::ResponseTimeout`].
pub(super) async fn within<F: Future>(
    limit: Option<Duration>,
    progress: Option<&Progress>,
    answer: F,
) -> Result<F::Output, Error> {
    let Some(limit) = limit else { return Ok(answer.await) };
    let mut answer = pin!(answer);
    let mut sleep = pin!(sleep_until(Instant::now() + limit));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            () = &mut sleep => {}
        }
        let Some(progress) = progress else { return Err(Error::ResponseTimeout) };
        let deadline = progress.last() + limit;
        if deadline > Instant::now() {
            sleep.as_mut().reset(deadline);
        } else if progress.is_waiting.load(Relaxed) {
            return Err(Error::RequestTimeout);
        } else {
            return Err(Error::ResponseTimeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn t41_an_answer_is_due_after_the_last_piece_of_the_request() {
        pause();
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let none = within(Some(5 * second), None, pending::<()>()).await;
        assert!(matches!(none, Err(Error::ResponseTimeout)));
        assert_eq!(start.elapsed().as_secs(), 5);

        let upload = Progress::new(None);
        advance(3 * second).await;
        upload.moved();
        let start = Instant::now();
        let late = within(Some(5 * second), Some(&upload), async {
            tokio::time::sleep(4 * second).await;
            upload.moved();
            pending::<()>().await;
        });
        assert!(matches!(late.await, Err(Error::ResponseTimeout)));
        assert_eq!(start.elapsed().as_secs(), 9);

        let stalled = Progress::new(None);
        stalled.is_waiting.store(true, Relaxed);
        let late = within(Some(second), Some(&stalled), pending::<()>()).await;
        assert!(matches!(late, Err(Error::RequestTimeout)));
        assert_eq!(within(None, None, async { 7 }).await.unwrap(), 7);
    }
}
