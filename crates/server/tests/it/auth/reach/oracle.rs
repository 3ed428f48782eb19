//! What should come of a request, worked out from what the guide says and from nothing of the server's.

use nocrd_proxy_core::AuthEndpoint;

use super::{
    callers::{BOSS, Caller, OWNER, Shows},
    places::{Declared, Place, Rule, Treatment, UPGRADE},
};

/// What somebody gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server's own, and nothing reaches the pod.
    Is(u16),
    /// The pod's.
    Reached(Seen),
}

/// What reaches a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// At the workspace's own port, not at that of further APIs.
    pub(super) on_main: bool,
    pub(super) path: String,
    /// Who is said to visit.
    pub(super) sub: Option<String>,
    /// Whether it gets an access token.
    pub(super) token: bool,
    /// Whether it gets what the caller sent in `Authorization`.
    pub(super) authorization: bool,
    /// Whether its pages are kept from the rest of the site.
    pub(super) shut_in: bool,
}

use Answer::{Is, Reached};

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    /// Whether the provider alone can tell what a token is.
    pub(super) introspects: bool,
    /// What the workspace asks of the gateway; `None`: there is no such workspace.
    pub(super) treatment: Option<&'static Treatment>,
    pub(super) place: Place,
    pub(super) caller: &'static Caller,
    pub(super) method: &'static str,
}

impl Question {
    pub(super) fn answer(&self) -> Answer {
        // What can't be told from its method alone counts as a change.
        let write = !["GET", "HEAD", "OPTIONS"].contains(&self.method);
        if self.caller.shows == Shows::SessionElsewhere && write {
            return Is(403);
        }
        let standing = standing(self.caller, write);
        let Some(treatment) = self.treatment else { return Is(standing.err().unwrap_or(404)) };
        match self.place {
            Place::Main => self.reached(treatment, None, standing),
            Place::Api(api) => {
                let fits =
                    |list: &str| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(self.asked()));
                let api = Some(api).filter(|api| api.methods.is_none_or(fits));
                self.reached(treatment, api, standing)
            }
            Place::Endpoint(endpoint) => Is(self.at_endpoint(treatment, endpoint, standing)),
        }
    }

    /// The method as it is sent.
    pub(super) fn asked(&self) -> &'static str {
        if self.method == UPGRADE { "GET" } else { self.method }
    }

    /// For `api`, or for the workspace itself.
    fn reached(&self, treatment: &Treatment, api: Option<&Declared>, standing: Result<(), u16>) -> Answer {
        let caller = self.caller;
        // A path of an API on the workspace's own port is not for everybody, whatever the method.
        let of_own_port = matches!(self.place, Place::Api(declared) if declared.on_main);
        let open = treatment.open && api.is_none() && !of_own_port;
        if !open {
            if let Err(status) = standing {
                return Is(status);
            }
            if !may_reach(api.map_or(Rule::Nobody, |api| api.rule), caller) {
                return Is(404);
            }
            let has_token = matches!(caller.shows, Shows::Bearer | Shows::SessionOfToken);
            if treatment.needs_token && !has_token {
                return Is(401);
            }
        }
        let on_main = api.is_none_or(|api| api.on_main);
        // What is certainly none of the provider's is the program's own, and likewise what the provider calls inactive.
        let foreign = match caller.shows {
            Shows::ForgedBearer => true,
            Shows::ExpiredBearer => self.introspects,
            _ => false,
        };
        let token = match caller.shows {
            Shows::Bearer => true,
            Shows::SessionOfToken => treatment.fetches || treatment.needs_token,
            _ => false,
        };
        Reached(Seen {
            on_main,
            path: if on_main { self.place.path() } else { "/x".to_owned() },
            sub: (!open).then(|| caller.sub.to_owned()),
            token: token && !open && caller.sub == OWNER,
            authorization: open && foreign,
            shut_in: open || caller.sub != OWNER,
        })
    }

    fn at_endpoint(&self, treatment: &Treatment, endpoint: AuthEndpoint, standing: Result<(), u16>) -> u16 {
        if let Err(status) = standing {
            return status;
        }
        if self.caller.sub != OWNER {
            return 404;
        }
        if !treatment.token_api {
            return 403;
        }
        match endpoint {
            AuthEndpoint::Token if self.asked() == "GET" => 200,
            // Without saying where to.
            AuthEndpoint::Authorize if self.asked() == "GET" => 400,
            // It is for pages, and no page here has a refresh token.
            AuthEndpoint::Refresh if self.asked() == "POST" => {
                if self.caller.shows == Shows::Bearer {
                    403
                } else {
                    401
                }
            }
            AuthEndpoint::Token | AuthEndpoint::Authorize | AuthEndpoint::Refresh => 405,
        }
    }
}

/// Whether they are known and may do such things at all, else what they are told.
fn standing(caller: &Caller, write: bool) -> Result<(), u16> {
    match caller.shows {
        Shows::Nothing | Shows::ExpiredBearer | Shows::ForgedBearer | Shows::ExpiredSession => {
            return Err(401);
        }
        Shows::SessionElsewhere => return Err(403),
        Shows::Bearer | Shows::Session | Shows::SessionOfToken => {}
    }
    if caller.sub == BOSS {
        return Ok(());
    }
    let enough: &[&str] = if write {
        &["nogoo9:write", "nogoo9:admin"]
    } else {
        &["nogoo9:read", "nogoo9:write", "nogoo9:admin"]
    };
    // Without a claim of scopes the roles decide.
    let by_scope = caller.scopes.is_none() || enough.iter().any(|scope| holds(caller, scope));
    // Who is given no role is a viewer, and viewers use their own workspaces.
    let by_role =
        caller.roles.is_empty() || ["viewer", "user", "admin"].iter().any(|role| caller.roles.contains(role));
    if by_scope && by_role { Ok(()) } else { Err(403) }
}

fn holds(caller: &Caller, scope: &str) -> bool {
    caller.scopes.is_some_and(|scopes| scopes.split(' ').any(|one| one == scope))
}

fn is_admin(caller: &Caller) -> bool {
    let with_scope = caller.scopes.is_none() || holds(caller, "nogoo9:admin");
    caller.sub == BOSS || (caller.roles.contains(&"admin") && with_scope)
}

fn may_reach(rule: Rule, caller: &Caller) -> bool {
    caller.sub == OWNER
        || match rule {
            Rule::Nobody => false,
            Rule::SignedIn => true,
            Rule::Administrators => is_admin(caller),
            Rule::Scope(scope) => holds(caller, scope),
            Rule::Role(role) => caller.roles.contains(&role),
            Rule::People(people) => people.contains(&caller.sub),
        }
}
