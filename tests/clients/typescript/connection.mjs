// A client of one of the official SDKs, connected to a server. The steps of the test need not know which it is.

const SELF = { name: "no-crd-typescript-test", version: "1.0.0" };

/**
 * Connects to `target`: `{ url }`, or `{ command, args }` of a server to start.
 *
 * `variant` is `auto` (SDK 2 finds the newest protocol that both sides know), `legacy` (SDK 2 with sessions, as before the
 * revision of 2026-07-28) or `v1` (the SDK before, which most clients use).
 */
export async function connect(variant, target, timeout) {
  const { Client, Http, Stdio } = variant === "v1" ? await sdk1() : await sdk2();
  const client = new Client(SELF, variant === "v1" ? {} : { versionNegotiation: { mode: variant } });
  const transport = target.url ? new Http(new URL(target.url)) : new Stdio(target);
  await client.connect(transport, { timeout });
  // Only SDK 1 takes a schema of results before the options.
  const schema = variant === "v1" ? [undefined] : [];
  return {
    server: client.getServerVersion(),
    protocol: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "of an unknown version",
    listTools: () => client.listTools(undefined, { timeout }),
    callTool: (params, options = {}) => client.callTool(params, ...schema, { timeout, ...options }),
    close: async () => {
      // Ends the session, where the transport and the protocol have one.
      await transport.terminateSession?.();
      await client.close();
    },
  };
}

async function sdk2() {
  const { Client, StreamableHTTPClientTransport: Http } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport: Stdio } = await import("@modelcontextprotocol/client/stdio");
  return { Client, Http, Stdio };
}

async function sdk1() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport: Http } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { StdioClientTransport: Stdio } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  return { Client, Http, Stdio };
}
