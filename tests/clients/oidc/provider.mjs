// A certified OpenID provider, set up as a platform team might set up theirs for a no-crd server, on a free port.
//
//     node provider.mjs ORIGIN
//
// ORIGIN is where users reach the no-crd server: the audience of access tokens, and the place users are sent back to. The
// client `no-crd` is registered for it; MCP clients register themselves (RFC 7591). Says `listening on URL` when it is
// ready, and ends with its standard input. `GET /test/grants` tells how many tokens were given by which kind of grant.
//
// - Access tokens are JWTs for ORIGIN, or for what the client asked for below it (RFC 8707), and good for 30 seconds.
// - Refresh tokens are good once; a second use ends everything that came from that sign-in.
// - PKCE is a must.

import http from "node:http";
import process from "node:process";
import { Provider, errors } from "oidc-provider";

const LIFETIME_S = 30;
const SCOPES = "nogoo9:read nogoo9:write nogoo9:admin";
const CLIENT = { id: "no-crd", secret: "the secret of the server, for tests only" };
// Their passwords are their names.
const USERS = {
  alice: { roles: ["user"] },
  bob: { roles: ["user"] },
  carol: { roles: ["admin"] },
};

const origin = process.argv[2];
if (!origin) {
  console.error("usage: node provider.mjs ORIGIN");
  process.exit(2);
}

const grants = {};

function configuration() {
  return {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        token_endpoint_auth_method: "client_secret_post",
        grant_types: ["authorization_code", "refresh_token"],
        redirect_uris: [`${origin}/auth/callback`],
        post_logout_redirect_uris: [origin, `${origin}/`],
      },
    ],
    cookies: { keys: ["of a provider that forgets everything when it ends"] },
    // For those who register themselves: what they may ask for.
    scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    // Many providers give one without the scope offline_access and the consent that OpenID Connect wants for it.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, ...USERS[id] }) }),
    claims: { openid: ["sub", "roles"], profile: ["name"], email: ["email"] },
    conformIdTokenClaims: false,
    extraTokenClaims: (_ctx, token) => ({ realm_access: { roles: USERS[token.accountId]?.roles ?? [] } }),
    interactions: { url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
    loadExistingGrant,
    ttl: { AccessToken: LIFETIME_S, Grant: 3600, IdToken: 300, Interaction: 600, RefreshToken: 3600, Session: 3600 },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, asked) => asked ?? origin,
        getResourceServerInfo,
        useGrantedResource: () => true,
      },
      rpInitiatedLogout: { enabled: true, logoutSource },
    },
  };
}

function getResourceServerInfo(_ctx, resource) {
  if (new URL(resource).origin !== origin) throw new errors.InvalidTarget();
  return {
    scope: SCOPES,
    audience: resource,
    accessTokenTTL: LIFETIME_S,
    accessTokenFormat: "jwt",
    jwt: { sign: { alg: "RS256" } },
  };
}

/** The organisation's own applications need nobody's consent. */
async function loadExistingGrant(ctx) {
  const { client, session, provider } = ctx.oidc;
  const known = ctx.oidc.result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const grant = known ? await provider.Grant.find(known) : undefined;
  if (grant) return grant;
  const fresh = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  fresh.addOIDCScope(`openid profile email offline_access ${SCOPES}`);
  for (const resource of [origin, ...[ctx.oidc.params.resource ?? []].flat()]) fresh.addResourceScope(resource, SCOPES);
  await fresh.save();
  return fresh;
}

function logoutSource(ctx, form) {
  ctx.body = page("Sign out", `${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
}

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}</html>`;
}

const form = page(
  "Sign in",
  `<form method="post"><label>Name <input name="name" autofocus></label>
   <label>Password <input name="password" type="password"></label><button>Sign in</button></form>`,
);

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return new URLSearchParams(Buffer.concat(parts).toString());
}

/** The page where users sign in. */
async function signIn(provider, request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (prompt.name === "consent") {
    // Asked for all the same, for programs on the user's own machine.
    await provider.interactionFinished(request, response, { consent: {} }, { mergeWithLastSubmission: true });
    return;
  }
  if (request.method !== "POST") {
    response.setHeader("content-type", "text/html; charset=utf-8").end(form);
    return;
  }
  const fields = await body(request);
  const name = fields.get("name");
  const known = Object.hasOwn(USERS, name) && fields.get("password") === name;
  const result = known
    ? { login: { accountId: name } }
    : { error: "access_denied", error_description: "unknown user or wrong password" };
  await provider.interactionFinished(request, response, result);
}

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  provider.on("grant.success", ({ oidc }) => {
    grants[oidc.params.grant_type] = (grants[oidc.params.grant_type] ?? 0) + 1;
  });
  for (const event of ["server_error", "grant.error", "authorization.error", "registration_create.error"]) {
    provider.on(event, (_ctx, error) => console.error(`${event}: ${error.message} ${error.error_description ?? ""}`));
  }
  const rest = provider.callback();
  server.on("request", (request, response) => {
    if (request.url === "/test/grants") {
      response.setHeader("content-type", "application/json").end(JSON.stringify(grants));
    } else if (request.url.startsWith("/sign-in/")) {
      signIn(provider, request, response).catch((error) => {
        console.error(`sign-in: ${error.message}`);
        response.writeHead(400).end();
      });
    } else {
      rest(request, response);
    }
  });
  console.log(`listening on ${issuer}`);
});

// Whoever started it has ended.
process.stdin.on("end", () => process.exit(0)).resume();
