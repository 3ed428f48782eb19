//! Questions whose answers must not pass through the client ("URL mode"). It shows its user an address and asks whether to
//! go there; that the user agreed says nothing yet of whether they have answered.

use std::time::Duration;

use rmcp::{
    RoleServer,
    model::{CustomNotification, ElicitRequestParams, ElicitationAction, ServerNotification},
    service::Peer,
};
use serde_json::json;

use super::{
    Answer, Asking, PATIENCE, Retry, Stop, Way,
    forms::{ContextForms, Opened, Taken, Values, Wanted},
};
use crate::{Error, call::Progress};

/// How often a client hears that a call still waits for its user.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a call that brings the user's consent waits for the values. Without that a client which asks again by itself would
/// do so without pause.
const LINGER: Duration = Duration::from_secs(20);

impl Asking<'_> {
    /// Asks on a page. `question` tells one question of a call from the others.
    pub(super) async fn page(
        &self,
        question: &str,
        message: &str,
        pages: &dyn ContextForms,
        wanted: &Wanted<'_>,
    ) -> Result<Answer<Values>, Stop> {
        if !self.urls {
            return Ok(Answer::CantAsk);
        }
        match &self.way {
            Way::Request(peer) => {
                let Some(opened) = pages.open(wanted).await else { return Ok(Answer::CantAsk) };
                let answer = self.until_given(peer, params(message, &opened), pages, wanted, &opened).await;
                if !matches!(answer, Ok(Answer::Given(_))) {
                    pages.close(&opened.id).await;
                }
                answer
            }
            Way::Retry(retry) => retry.page(question, message, pages, wanted).await,
        }
    }

    /// Asks while the call waits.
    async fn until_given(
        &self,
        peer: &Peer<RoleServer>,
        asked: ElicitRequestParams,
        pages: &dyn ContextForms,
        wanted: &Wanted<'_>,
        opened: &Opened,
    ) -> Result<Answer<Values>, Stop> {
        match self.request(peer, asked).await?.map(|result| result.action) {
            Some(ElicitationAction::Accept) => {}
            Some(_) => return Ok(Answer::Refused),
            None => return Ok(Answer::CantAsk),
        }
        let given = async {
            loop {
                match pages.take(&opened.id, wanted.caller).await {
                    Taken::Given(values) => return Some(values),
                    Taken::NotYet => pages.wait(&opened.id).await,
                    Taken::Gone => return None,
                }
            }
        };
        let given = async {
            tokio::select! {
                given = given => given,
                never = beat(self.progress.as_ref()) => match never {},
            }
        };
        let waiting = tokio::time::timeout(PATIENCE, given);
        let Some(given) = self.cancelled.run_until_cancelled(waiting).await else {
            return Err(Stop::Failed(Error::Cancelled));
        };
        let Ok(Some(values)) = given else { return Ok(Answer::Refused) };
        let params = json!({ "elicitationId": opened.id });
        let note = CustomNotification::new("notifications/elicitation/complete", Some(params));
        if let Err(error) = peer.send_notification(ServerNotification::CustomNotification(note)).await {
            tracing::debug!(%error, "the client was not told that the question is answered");
        }
        Ok(Answer::Given(values))
    }
}

impl Retry<'_> {
    /// Ends the call with the question, unless it brings the answer.
    async fn page(
        &self,
        question: &str,
        message: &str,
        pages: &dyn ContextForms,
        wanted: &Wanted<'_>,
    ) -> Result<Answer<Values>, Stop> {
        if let Some(result) = self.answer(question)?
            && let Some(opened) = self.opened()
        {
            if result.action != ElicitationAction::Accept {
                pages.close(&opened.id).await;
                return Ok(Answer::Refused);
            }
            let mut taken = pages.take(&opened.id, wanted.caller).await;
            if taken == Taken::NotYet {
                // Whether that ended by itself or was ended, the values are there or not.
                drop(tokio::time::timeout(LINGER, pages.wait(&opened.id)).await);
                taken = pages.take(&opened.id, wanted.caller).await;
            }
            match taken {
                Taken::Given(values) => return Ok(Answer::Given(values)),
                Taken::NotYet => return Err(self.ask(question, params(message, &opened), Some(opened))),
                // It was open for too long.
                Taken::Gone => {}
            }
        }
        let Some(opened) = pages.open(wanted).await else { return Ok(Answer::CantAsk) };
        Err(self.ask(question, params(message, &opened), Some(opened)))
    }
}

fn params(message: &str, opened: &Opened) -> ElicitRequestParams {
    ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: message.to_owned(),
        url: opened.url.clone(),
        elicitation_id: opened.id.clone(),
    }
}

/// Tells a client for ever that the call waits. All of that comes before the first step of the tool.
async fn beat(progress: Option<&Progress>) -> std::convert::Infallible {
    let Some(progress) = progress else { return std::future::pending().await };
    let mut beats = 0_u32;
    loop {
        let at = 1.0 - 1.0 / (2.0 + f64::from(beats));
        progress.send_at(at, "waiting for the values that the user gives on the server's page").await;
        beats = beats.saturating_add(1);
        tokio::time::sleep(HEARTBEAT).await;
    }
}
