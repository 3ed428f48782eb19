//! Requests that ask before they send their body: `Expect: 100-continue` (RFC 9110, 10.1.1). It is for the pod to answer,
//! which may refuse a large upload before it is sent.

use std::{fmt, pin::Pin, task::Context, task::Poll, time::Duration};

use http::{Request, StatusCode};
use tokio::{sync::watch, time::timeout};

use crate::BoxFuture;

/// How long a pod may take to say whether it wants the body. Many never say: they just wait for it.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The pod has said nothing yet.
    None,
    /// The body may be sent.
    Yes,
    /// The pod has begun an answer that needs no body.
    No,
    /// And that answer has ended.
    Over,
}

/// What a pod says to a request that asks.
#[derive(Debug, Clone)]
pub(super) struct Permission(watch::Sender<Word>);

/// The body's side of it: ready once the body may be sent, or never will be.
pub(crate) struct Asking(BoxFuture<'static, Result<(), Refused>>);

/// The pod has answered, and did not want the body.
#[derive(Debug, thiserror::Error)]
#[error("the workspace has answered without the request's body")]
pub(super) struct Refused;

impl Permission {
    /// Lets `request` listen for the pod's word.
    pub(super) fn ask<B>(request: &mut Request<B>) -> (Self, Asking) {
        let (word, mut heard) = watch::channel(Word::None);
        let permission = Self(word.clone());
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                permission.say(Word::Yes);
            }
        });
        let asking = async move {
            let said = timeout(PATIENCE, heard.wait_for(|word| *word != Word::None)).await.is_ok();
            if !said && *heard.borrow() == Word::None {
                return Ok(());
            }
            let over = heard.wait_for(|word| *word != Word::No).await.is_ok_and(|word| *word == Word::Over);
            if over { Err(Refused) } else { Ok(()) }
        };
        (Self(word), Asking(Box::pin(asking)))
    }

    fn say(&self, word: Word) {
        self.0.send_if_modified(|said| {
            let is_news = *said == Word::None;
            if is_news {
                *said = word;
            }
            is_news
        });
    }

    /// The pod has begun its answer. One that tells of success may still be reading what it will never ask for.
    pub(super) fn answered(&self, status: StatusCode) {
        self.say(if status.is_success() { Word::Yes } else { Word::No });
    }

    /// Whether the pod has answered without wanting the body.
    pub(super) fn is_refused(&self) -> bool {
        matches!(*self.0.borrow(), Word::No | Word::Over)
    }

    /// The answer has ended. A body that was not wanted fails now, and with it the connection to the pod, on which it is
    /// missing.
    pub(super) fn over(&self) {
        self.0.send_if_modified(|said| {
            let is_news = *said == Word::No;
            if is_news {
                *said = Word::Over;
            }
            is_news
        });
    }
}

impl Asking {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}
