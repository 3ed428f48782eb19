// A client of one of the official SDKs, connected to a server. The steps of the test need not know which it is.

const SELF = { name: "no-crd-typescript-test", version: "1.0.0" };

/**
 * Connects to `target`: `{ url }`, maybe with `options` of the transport, or `{ command, args }` of a server to start.
 * A target's function `remember` gets the transport before it is used.
 *
 * `variant` is `auto` (SDK 2 finds the newest protocol that both sides know), `legacy` (SDK 2 with sessions, as before the
 * revision of 2026-07-28) or `v1` (the SDK before, which most clients use).
 */
export async function connect(variant, target, timeout) {
  const { Client, Http, Stdio } = await sdkOf(variant);
  const client = new Client(SELF, variant === "v1" ? {} : { versionNegotiation: { mode: variant } });
  const transport = target.url ? new Http(new URL(target.url), target.options) : new Stdio(target);
  target.remember?.(transport);
  await client.connect(transport, { timeout });
  // Only SDK 1 takes a schema of results before the options.
  const schema = variant === "v1" ? [undefined] : [];
  return {
    server: client.getServerVersion(),
    protocol: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "of an unknown version",
    listTools: () => client.listTools(undefined, { timeout }),
    listResources: (params) => client.listResources(params, { timeout }),
    listResourceTemplates: () => client.listResourceTemplates(undefined, { timeout }),
    readResource: (params) => client.readResource(params, { timeout }),
    listPrompts: () => client.listPrompts(undefined, { timeout }),
    getPrompt: (params) => client.getPrompt(params, { timeout }),
    complete: (params) => client.complete(params, { timeout }),
    callTool: (params, options = {}) => client.callTool(params, ...schema, { timeout, ...options }),
    close: async () => {
      // Ends the session, where the transport and the protocol have one.
      await transport.terminateSession?.();
      await client.close();
    },
  };
}

/** The SDK of a variant: its client, its transports, and the error that says to sign in. */
export function sdkOf(variant) {
  return variant === "v1" ? sdk1() : sdk2();
}

async function sdk2() {
  const { Client, StreamableHTTPClientTransport: Http, UnauthorizedError } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport: Stdio } = await import("@modelcontextprotocol/client/stdio");
  return { Client, Http, Stdio, UnauthorizedError };
}

async function sdk1() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport: Http } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { StdioClientTransport: Stdio } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const { UnauthorizedError } = await import("@modelcontextprotocol/sdk/client/auth.js");
  return { Client, Http, Stdio, UnauthorizedError };
}
