//! Who asks for workspaces.

use std::{collections::BTreeSet, time::Duration};

use nocrd_authz::{
    claims::Identity,
    clock::UnixTime,
    keys::{KeyRing, SessionKeys},
    session::{Session, Sid},
};
use nocrd_testkit::idp;
use reqwest::RequestBuilder;
use serde_json::json;

use super::super::{SESSION_SECRET, World};

/// Whose the workspaces are.
pub(super) const OWNER: &str = "owner";
/// Who is an administrator because the settings say so.
pub(super) const BOSS: &str = "boss";

/// How somebody shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    Nothing,
    Bearer,
    /// A token whose time is over.
    ExpiredBearer,
    /// A token with another one's signature.
    ForgedBearer,
    /// A session, on a page of ours. No access token is to be had for it.
    Session,
    /// A session that was made for a token, which is still known.
    SessionOfToken,
    ExpiredSession,
    /// A session, on a page of another site.
    SessionElsewhere,
}

/// Somebody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) name: &'static str,
    pub(super) sub: &'static str,
    /// The roles that their token names.
    pub(super) roles: &'static [&'static str],
    /// Their scopes; without any claim of them, `None`.
    pub(super) scopes: Option<&'static str>,
    pub(super) shows: Shows,
}

const WRITE: &str = "nogoo9:read nogoo9:write";
const ALL: &str = "nogoo9:read nogoo9:write nogoo9:admin";
/// A user like most.
const USER: Caller =
    Caller { name: "other", sub: "other", roles: &["user"], scopes: Some(WRITE), shows: Shows::Bearer };
const MINE: Caller = Caller { name: "owner", sub: OWNER, ..USER };

pub(super) const CALLERS: &[Caller] = &[
    Caller { name: "anonymous", shows: Shows::Nothing, ..USER },
    Caller { name: "expired owner", shows: Shows::ExpiredBearer, ..MINE },
    Caller { name: "forged owner", shows: Shows::ForgedBearer, ..MINE },
    USER,
    Caller { name: "other with the scope", scopes: Some("nogoo9:write lab:enter"), ..USER },
    Caller {
        name: "the same by session",
        scopes: Some("nogoo9:write lab:enter"),
        shows: Shows::Session,
        ..USER
    },
    Caller { name: "other with the role", roles: &["ops", "user"], ..USER },
    Caller { name: "carol, who is in the list", sub: "carol", ..USER },
    Caller { name: "carol by session", sub: "carol", shows: Shows::Session, ..USER },
    Caller { name: "viewer", sub: "viewer", roles: &["viewer"], ..USER },
    Caller {
        name: "viewer who may read",
        sub: "viewer",
        roles: &["viewer"],
        scopes: Some("nogoo9:read"),
        ..USER
    },
    Caller { name: "viewer by default", sub: "viewer", roles: &[], ..USER },
    Caller { name: "user without a claim of scopes", scopes: None, ..USER },
    Caller { name: "user with no scope", scopes: Some(""), ..USER },
    Caller { name: "wrong scope", scopes: Some("other:read lab:enter"), ..USER },
    Caller { name: "wrong role", roles: &["zzz"], ..USER },
    Caller { name: "admin", sub: "admin", roles: &["admin"], scopes: Some(ALL), ..USER },
    Caller {
        name: "admin by session",
        sub: "admin",
        roles: &["admin"],
        scopes: Some(ALL),
        shows: Shows::Session,
    },
    Caller { name: "admin without the scope", sub: "admin", roles: &["admin"], ..USER },
    Caller { name: "user with the admin scope alone", scopes: Some("nogoo9:admin"), ..USER },
    Caller { name: "admin by name", sub: BOSS, roles: &["zzz"], scopes: Some("other:read"), ..USER },
    MINE,
    Caller { name: "owner by session", shows: Shows::Session, ..MINE },
    Caller { name: "owner by a token's session", shows: Shows::SessionOfToken, ..MINE },
    Caller { name: "owner whose session is over", shows: Shows::ExpiredSession, ..MINE },
    Caller { name: "owner on another site's page", shows: Shows::SessionElsewhere, ..MINE },
    Caller { name: "owner who may read", scopes: Some("nogoo9:read"), ..MINE },
    Caller { name: "owner without any right", roles: &["zzz"], ..MINE },
];

/// Somebody, and the headers that show it.
pub(super) struct Known {
    pub(super) caller: &'static Caller,
    headers: Vec<(&'static str, String)>,
}

impl Known {
    pub(super) async fn make(world: &World, caller: &'static Caller) -> Self {
        let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
        let page = |cookie: String| {
            let ours = ("origin", world.server.base.clone());
            vec![("cookie", cookie), ours, ("sec-fetch-site", "same-origin".to_owned())]
        };
        let headers = match caller.shows {
            Shows::Nothing => Vec::new(),
            Shows::Bearer => bearer(caller.token(world, idp::now() + 3600)),
            Shows::ExpiredBearer => bearer(caller.token(world, 1_000)),
            Shows::ForgedBearer => bearer(forged(&caller.token(world, idp::now() + 3600))),
            Shows::Session => page(caller.session(0)),
            Shows::SessionOfToken => page(world.session(&caller.token(world, idp::now() + 3600)).await),
            Shows::ExpiredSession => page(caller.session(3600)),
            Shows::SessionElsewhere => {
                let elsewhere = ["cross-site", "no-cors"].map(str::to_owned);
                let [site, mode] = elsewhere;
                vec![("cookie", caller.session(0)), ("sec-fetch-site", site), ("sec-fetch-mode", mode)]
            }
        };
        Self { caller, headers }
    }

    pub(super) fn identify(&self, request: RequestBuilder) -> RequestBuilder {
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// The request as one that opens a WebSocket, which names the page that does it.
    pub(super) fn opens_websocket(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        match self.caller.shows {
            Shows::SessionElsewhere => request.header("origin", "https://evil.example"),
            _ => request,
        }
    }
}

impl Caller {
    fn token(&self, world: &World, ends: u64) -> String {
        world.idp.token(json!({ "sub": self.sub, "roles": self.roles, "scope": self.scopes, "exp": ends }))
    }

    /// A session cookie as the server makes it for this token, half an hour long, that began so many seconds ago.
    fn session(&self, seconds: u64) -> String {
        let keys = KeyRing::known(SessionKeys::new(SESSION_SECRET.as_bytes(), []).unwrap());
        let identity = Identity {
            subject: self.sub.into(),
            roles: self.roles.iter().map(|role| (*role).to_owned()).collect(),
            scopes: self.scopes.map(|scopes| scopes.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()),
        };
        let begun = UnixTime::new(i64::try_from(idp::now() - seconds).unwrap());
        let end = begun.plus(Duration::from_secs(12 * 3600));
        let life = Duration::from_secs(1800);
        let session = Session::begin(Sid::random(), identity, begun, begun, life, end).unwrap();
        format!("nocr_sess={}", session.sign(&keys).unwrap())
    }
}

/// The token with a letter of its signature changed, or of its name.
fn forged(token: &str) -> String {
    let at = token.rfind('.').map_or(0, |dot| dot + 1);
    let (rest, signature) = token.split_at(at);
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{rest}{first}{}", &signature[1..])
}
