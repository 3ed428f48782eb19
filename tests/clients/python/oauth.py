"""Signs in to a no-crd server with the official MCP SDK for Python, as an agent would that knows nothing but the server's
URL, and calls a tool.

    python oauth.py [--legacy] URL USER

Without --legacy the SDK negotiates the newest protocol it shares with the server. USER's password is USER. One line per
step; exit code 1 and a message when the server does not behave.
"""

import asyncio
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

from client import PATIENCE_SECONDS, call, causes, check, step

# Nothing listens there: the browser is looked over the shoulder.
CALLBACK = "http://127.0.0.1:7/callback"


class Storage:
    """What an agent keeps."""

    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def browse(url, name):
    """A user's browser: signs in with a name and a password, and tells where it is sent in the end."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
        for _ in range(20):
            location = answer.headers.get("location")
            if location is None:
                check(answer.is_success, f"{url} answers {answer.status_code}: {answer.text}")
                answer = await browser.post(url, data={"name": name, "password": name})
                continue
            url = urljoin(url, location)
            if url.startswith(CALLBACK):
                return url
            answer = await browser.get(url)
    check(False, f"the sign-in does not end, now at {url}")


async def drive(server, name, legacy):
    back = {}

    async def redirect(url):
        asks = parse_qs(urlsplit(url).query)
        check(asks["resource"] == [server], f"it asks for a token for {asks.get('resource')}")
        check(asks["code_challenge_method"] == ["S256"], "it does not use PKCE")
        check("nogoo9:read" in asks["scope"][0], f"it asks for the scopes {asks['scope']}")
        step(f"told to sign in at {urlsplit(url).netloc}")
        fields = parse_qs(urlsplit(await browse(url, name)).query)
        check("code" in fields, f"{name} is sent back without a code: {fields}")
        back.update({key: fields[key][0] for key in ("code", "state", "iss") if key in fields})

    async def callback():
        return AuthorizationCodeResult(**back)

    metadata = OAuthClientMetadata(
        client_name="no-crd Python test",
        redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
        application_type="native",
    )
    asked = []

    async def note(request):
        asked.append(request.url.path)

    storage = Storage()
    auth = OAuthClientProvider(server, metadata, storage, redirect, callback)
    hooks = {"request": [note]}
    async with httpx2.AsyncClient(
        auth=auth, event_hooks=hooks, timeout=PATIENCE_SECONDS, follow_redirects=True, trust_env=False
    ) as http:
        transport = streamable_http_client(server, http_client=http)
        mode = "legacy" if legacy else "auto"
        async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE_SECONDS) as client:
            check(storage.tokens is not None, "the client connected without signing in")
            step(f"{name} has signed in; scopes {storage.tokens.scope}")
            step(f"connected with protocol {client.protocol_version}")
            workspaces = (await call(client, "list_workspaces"))["workspaces"]
            step(f"{len(workspaces)} workspaces")


def main():
    arguments = sys.argv[1:]
    legacy = arguments[:1] == ["--legacy"]
    match arguments[legacy:]:
        case [server, name]:
            pass
        case _:
            sys.exit(__doc__)
    try:
        asyncio.run(drive(server, name, legacy))
    except Exception as error:
        for cause in causes(error):
            print(f"FAILED: {type(cause).__name__}: {cause}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
