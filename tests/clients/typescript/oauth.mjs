// Signs in to a no-crd server with the official MCP SDKs for TypeScript, as an agent would that knows nothing but the
// server's URL, and calls a tool.
//
//     node oauth.mjs [--legacy | --v1] URL USER
//
// The options choose among the SDKs and protocols of connection.mjs. USER's password is USER. One line per step; exit code
// 1 and a message when the server does not behave.

import process from "node:process";
import { connect, sdkOf } from "./connection.mjs";

// Nothing listens there: the browser is looked over the shoulder.
const CALLBACK = "http://127.0.0.1:7/callback";
const PATIENCE_MS = 120_000;

function check(holds, message) {
  if (!holds) throw new Error(message);
}

function step(text) {
  console.log(`ok: ${text}`);
}

/** A user's browser: signs in with a name and a password, and tells where it is sent in the end. */
async function browse(start, name) {
  const cookies = new Map();
  let url = start;
  let request = {};
  for (let steps = 0; steps < 20; steps += 1) {
    const cookie = [...cookies].map(([key, value]) => `${key}=${value}`).join("; ");
    const answer = await fetch(url, { ...request, headers: { cookie }, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, key, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(key, value);
    }
    const location = answer.headers.get("location");
    if (location) {
      url = new URL(location, url);
      request = {};
      if (url.href.startsWith(CALLBACK)) return url;
    } else {
      check(answer.ok && request.method !== "POST", `${url} answers ${answer.status}: ${await answer.text()}`);
      request = { method: "POST", body: new URLSearchParams({ name, password: name }) };
    }
  }
  throw new Error(`the sign-in does not end, now at ${url}`);
}

/** What an agent keeps. The SDK asks for it, and calls it with what it finds out. */
class Agent {
  #kept = {};
  redirectUrl = CALLBACK;
  clientMetadata = {
    client_name: "no-crd TypeScript test",
    redirect_uris: [CALLBACK],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    application_type: "native",
  };

  state = () => (this.#kept.state ??= crypto.randomUUID());
  clientInformation = () => this.#kept.client;
  saveClientInformation = (client) => void (this.#kept.client = client);
  tokens = () => this.#kept.tokens;
  saveTokens = (tokens) => void (this.#kept.tokens = tokens);
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = (verifier) => void (this.#kept.verifier = verifier);
  redirectToAuthorization = (url) => void (this.authorizationUrl = url);
}

async function signIn(variant, server, name) {
  const agent = new Agent();
  const asked = [];
  const options = {
    authProvider: agent,
    fetch: (url, init) => {
      asked.push(new URL(url).pathname);
      return fetch(url, init);
    },
  };
  const { UnauthorizedError } = await sdkOf(variant);
  let last;
  const remember = (transport) => (last = transport);
  const refused = await connect(variant, { url: server, options, remember }, PATIENCE_MS).then(
    () => undefined,
    (error) => error,
  );
  check(refused instanceof UnauthorizedError, `without a token the client is not told to sign in: ${refused}`);
  check(agent.authorizationUrl, "nothing tells where to sign in");
  const metadata = asked.find((path) => path.includes("oauth-protected-resource"));
  check(metadata, `the resource's metadata were not asked for, but ${asked.join(", ")}`);
  step(`told to sign in at ${agent.authorizationUrl.origin} by ${metadata}`);
  const asks = agent.authorizationUrl.searchParams;
  check(asks.get("resource") === server, `it asks for a token for ${asks.get("resource")}`);
  check(asks.get("code_challenge_method") === "S256", "it does not use PKCE");
  check(asks.get("scope")?.includes("nogoo9:read"), `it asks for the scopes ${asks.get("scope")}`);

  const back = await browse(agent.authorizationUrl, name);
  const code = back.searchParams.get("code");
  check(code, `${name} is sent back without a code: ${back}`);
  await last.finishAuth(...(variant === "v1" ? [code] : [back.searchParams]));
  step(`${name} has signed in; scopes ${agent.tokens().scope}`);
  return connect(variant, { url: server, options }, PATIENCE_MS);
}

async function drive(variant, server, name) {
  const client = await signIn(variant, server, name);
  try {
    step(`connected with protocol ${client.protocol}`);
    const result = await client.callTool({ name: "list_workspaces", arguments: {} });
    check(!result.isError, `list_workspaces failed: ${JSON.stringify(result)}`);
    step(`${result.structuredContent.workspaces.length} workspaces`);
  } finally {
    await client.close();
  }
}

const args = process.argv.slice(2);
const variant = args[0].startsWith("--") ? args.shift().slice(2) : "auto";
const [server, name] = args;
if (!name) {
  console.error("usage: node oauth.mjs [--legacy | --v1] URL USER");
  process.exit(2);
}
try {
  await drive(variant, server, name);
} catch (error) {
  console.log(`FAILED: ${error}`);
  process.exit(1);
}
