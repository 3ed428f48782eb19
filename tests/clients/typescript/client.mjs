// Drives a no-crd server with the official MCP SDKs for TypeScript, as an agent would.
//
//     node client.mjs [--legacy | --v1] stdio COMMAND [ARGUMENT...]
//     node client.mjs [--legacy | --v1] http URL
//
// The options choose among the SDKs and protocols of connection.mjs. One line per step; exit code 1 and a message when the
// server does not behave. The SDK itself validates every result of a tool against the tool's output schema and throws when
// it does not fit.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "./connection.mjs";

const TOOLS = [
  "check_permissions",
  "create_pod",
  "create_pod_from_template",
  "create_template",
  "current_namespace",
  "delete_pod",
  "delete_template",
  "get_capabilities",
  "get_pod",
  "get_pod_logs",
  "get_template",
  "get_workspace",
  "get_workspace_events",
  "list_namespaces",
  "list_pods",
  "list_registry_images",
  "list_templates",
  "list_workspaces",
  "patch_pod",
  "spawn_workspace",
  "stop_workspace",
  "update_template",
  "upgrade_all_workspaces",
  "upgrade_workspace",
];
const RESOURCES = ["pod-template://{namespace}/{name}", "workspace://{namespace}/{id}"];
const PROMPTS = ["diagnose-workspace", "spawn-workspace"];
const TEMPLATE = "default-agent-workspace";
const NAME = "A TypeScript client's";
// Of the annotation that holds a template's version.
const VERSION = "nogoo9/template-version";
const IMAGE = "busybox";
// Long enough for a busy machine; nothing waits that long when all is well.
const PATIENCE_MS = 120_000;

function check(holds, message) {
  if (!holds) throw new Error(message);
}

function step(text) {
  console.log(`ok: ${text}`);
}

function textOf(result) {
  return result.content.filter((block) => block.type === "text").map((block) => block.text).join("\n");
}

/** Calls a tool; the result may be an error. */
function attempt(client, name, args = {}, options = {}) {
  return client.callTool({ name, arguments: args }, options);
}

/** The structured result of a tool that must succeed. */
async function call(client, name, args, options) {
  const result = await attempt(client, name, args, options);
  check(!result.isError, `${name} failed: ${textOf(result)}`);
  check(textOf(result), `${name} says nothing in words`);
  check(result.structuredContent !== undefined, `${name} gives no structured content`);
  return result.structuredContent;
}

async function tools(client) {
  const listed = new Map((await client.listTools()).tools.map((tool) => [tool.name, tool]));
  const missing = TOOLS.filter((name) => !listed.has(name));
  check(missing.length === 0, `tools are missing: ${missing.join(", ")}`);
  for (const tool of listed.values()) {
    check(tool.title, `${tool.name} has no title`);
    check(tool.description, `${tool.name} has no description`);
    check(tool.outputSchema, `${tool.name} has no output schema`);
    check(tool.annotations, `${tool.name} has no annotations`);
    check(tool.annotations.readOnlyHint !== undefined, `${tool.name} does not say whether it only reads`);
  }
  check(listed.get("list_workspaces").annotations.readOnlyHint, "list_workspaces is said to change something");
  check(listed.get("stop_workspace").annotations.destructiveHint, "stop_workspace is said to be harmless");
  const reach = (name) => listed.get(name).annotations.openWorldHint;
  check(reach("list_registry_images") === true, "list_registry_images is said to keep to the cluster");
  check(reach("list_workspaces") === false, "list_workspaces is said to reach beyond it");
  step(`${listed.size} tools, all with title, annotations and output schema`);
}

async function server(client) {
  const where = await call(client, "current_namespace");
  check(where.namespace, "the default namespace has no name");
  step(`namespace ${where.namespace}, mode ${where.mode}`);
  const capabilities = await call(client, "get_capabilities");
  const disabled = TOOLS.filter((name) => !capabilities.enabledTools.includes(name));
  check(disabled.length === 0, `tools are disabled: ${disabled.join(", ")}`);
  const permissions = await call(client, "check_permissions");
  check(permissions.complete, "permissions are not known");
  check(permissions.disabledTools.length === 0, `tools are disabled: ${permissions.disabledTools.join(", ")}`);
  const { namespaces } = await call(client, "list_namespaces");
  check(namespaces.includes(where.namespace), "the default namespace is not among the namespaces");
  step(`version ${capabilities.version}, ${capabilities.enabledTools.length} tools enabled`);
}

async function images(client) {
  const result = await attempt(client, "list_registry_images", { repository: "a", limit: 10 });
  check(!result.isError, `list_registry_images failed: ${textOf(result)}`);
  const { images: listed, registry } = result.structuredContent;
  check(listed.length <= 10, `asked for 10 images, got ${listed.length}`);
  const told = registry || textOf(result).includes("REGISTRY_URL");
  check(told, `nothing says which registry is listed, or how to name one: ${textOf(result)}`);
  step(`${listed.length} images of ${registry || "no registry"}`);
}

async function templates(client) {
  const { templates: entries } = await call(client, "list_templates");
  check(entries.some((entry) => entry.name === TEMPLATE), `${TEMPLATE} is not among the templates`);
  step(`${entries.length} templates`);
  const template = await call(client, "get_template", { name: TEMPLATE });
  check(template.spec.containers.length > 0, `${TEMPLATE} has no containers`);
  step(`template ${TEMPLATE}, version ${template.version}`);
}

async function spawn(client, workspace) {
  const said = [];
  const spawned = await call(
    client,
    "spawn_workspace",
    { id: workspace, name: NAME, templateRef: TEMPLATE, wait: true },
    { onprogress: (report) => said.push(report) },
  );
  check(spawned.id === workspace, `asked for ${workspace}, got ${spawned.id}`);
  check(spawned.status === "running", `waited for it, and it is ${spawned.status}`);
  check(said.length > 0, "no progress was reported");
  const rises = said.every((report, at) => at === 0 || report.progress > said[at - 1].progress);
  check(rises, `progress does not rise: ${said.map((report) => report.progress).join(", ")}`);
  check(said.every((report) => report.message), "progress is reported without words");
  step(`spawned ${workspace} as pod ${spawned.podName}, ${said.length} reports of progress`);
  return spawned;
}

async function look(client, workspace, pod) {
  const { workspaces } = await call(client, "list_workspaces");
  check(workspaces.some((entry) => entry.id === workspace), `${workspace} is not among the workspaces`);
  step(`${workspaces.length} workspaces`);
  const details = await call(client, "get_workspace", { id: workspace });
  check(details.status === "Running", `${workspace} is ${details.status}`);
  check(details.name === NAME, `its name is ${details.name}`);
  check(details.podName === pod, `its pod is ${details.podName}, not ${pod}`);
  step(`${workspace} runs at ${details.podIP}:${details.port}`);
  const { events } = await call(client, "get_workspace_events", { id: workspace });
  const reasons = events.map((event) => event.reason);
  check(reasons.includes("Started"), `there is no event about its start: ${reasons.join(", ")}`);
  step(`events ${reasons.join(", ")}`);
}

/** The JSON that a resource holds. */
async function read(client, uri) {
  const { contents } = await client.readResource({ uri });
  check(contents.length === 1 && contents[0].uri === uri, `asked for ${uri}, got ${JSON.stringify(contents)}`);
  check(contents[0].mimeType === "application/json", `${uri} is ${contents[0].mimeType}`);
  return JSON.parse(contents[0].text);
}

async function complete(client, ref, name, value) {
  const { completion } = await client.complete({ ref, argument: { name, value } });
  return completion.values;
}

async function resources(client, workspace) {
  const { resourceTemplates } = await client.listResourceTemplates();
  const kinds = resourceTemplates.map((kind) => kind.uriTemplate).sort();
  check(kinds.join() === RESOURCES.join(), `the kinds of resources are ${kinds.join(", ")}`);
  const uris = [];
  let cursor;
  do {
    const page = await client.listResources(cursor === undefined ? {} : { cursor });
    uris.push(...page.resources.map((resource) => resource.uri));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  const template = uris.find((uri) => uri.startsWith("pod-template:") && uri.endsWith(`/${TEMPLATE}`));
  check(template, `${TEMPLATE} is not among the resources`);
  check((await read(client, template)).containers.length > 0, `${template} has no containers`);
  const uri = uris.find((uri) => uri.startsWith("workspace:") && uri.endsWith(`/${workspace}`));
  check(uri, `${workspace} is not among the resources`);
  const details = await read(client, uri);
  check(details.id === workspace, `${uri} is ${details.id}`);
  const refusal = await client.readResource({ uri: `${uri}-none` }).then(() => undefined, (error) => error);
  check(refusal, `${uri}-none was read`);
  step(`refused: ${refusal.message}`);
  const ref = { type: "ref/resource", uri: "workspace://{namespace}/{id}" };
  const ids = await complete(client, ref, "id", workspace.slice(0, -1));
  check(ids.includes(workspace), `${workspace} is not among ${ids.join(", ")}`);
  step(`${uris.length} resources, of them ${template} and ${uri}`);
}

async function prompts(client, workspace) {
  const names = (await client.listPrompts()).prompts.map((prompt) => prompt.name).sort();
  check(names.join() === PROMPTS.join(), `the prompts are ${names.join(", ")}`);
  const args = { task: "Count to ten", templateRef: TEMPLATE };
  const { messages } = await client.getPrompt({ name: "spawn-workspace", arguments: args });
  check(messages[0].content.text.includes("Count to ten"), `the prompt forgets its task: ${JSON.stringify(messages)}`);
  const diagnosis = await client.getPrompt({ name: "diagnose-workspace", arguments: { id: workspace } });
  const embedded = diagnosis.messages.filter((message) => message.content.type === "resource");
  check(embedded.length === 1, `the workspace is not embedded: ${JSON.stringify(diagnosis.messages)}`);
  const ref = { type: "ref/prompt", name: "spawn-workspace" };
  const templates = await complete(client, ref, "templateRef", TEMPLATE.slice(0, 5));
  check(templates.includes(TEMPLATE), `${TEMPLATE} is not among ${templates.join(", ")}`);
  step(`prompts ${names.join(", ")}`);
}

async function pods(client, workspace) {
  const name = `${workspace}-pod`;
  const resources = { requests: { memory: "16Mi" } };
  const command = ["/bin/sh", "-c", "echo hello; exec sleep 600"];
  const created = await call(client, "create_pod", { name, containers: [{ name: "agent", image: IMAGE, command, resources }] });
  check(created.name === name, `asked for ${name}, got ${created.name}`);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const result = await attempt(client, "get_pod_logs", { name });
    if (!result.isError && result.structuredContent.logs === "hello\n") break;
    check(Date.now() < deadline, `${name} says nothing: ${textOf(result)}`);
    await sleep(100);
  }
  const { pods: listed } = await call(client, "list_pods", { fieldSelector: `metadata.name=${name}` });
  check(listed.length === 1 && listed[0].name === name, `the pods are ${JSON.stringify(listed)}`);
  const patch = {
    metadata: { annotations: { "example.com/note": "hello" } },
    spec: { containers: [{ name: "agent", resources: { requests: { memory: "32Mi" } } }] },
  };
  const { resourceVersion } = await call(client, "patch_pod", { name, patch });
  check(resourceVersion, "the pod has no version");
  const { pod } = await call(client, "get_pod", { name });
  check(pod.metadata.annotations["example.com/note"] === "hello", "the note is lost");
  const deleted = await call(client, "delete_pod", { name, gracePeriodSeconds: 0 });
  check(deleted.status === "terminating", `${name} is ${deleted.status}`);
  step(`pod ${name} came, spoke, changed and went`);
}

async function library(client, workspace) {
  const name = `${workspace}-template`;
  const spec = { containers: [{ name: "agent", image: IMAGE, command: ["sleep", "600"], args: ["${{user}}"] }] };
  const { templateRef } = await call(client, "create_template", { name, description: "For a test", spec });
  await call(client, "update_template", { name: templateRef, annotations: { [VERSION]: "1.1.0" } });
  const template = await call(client, "get_template", { name: templateRef });
  check(template.version === "1.1.0", `${templateRef} has version ${template.version}`);
  check(template.description === "For a test", `${templateRef} is ${template.description}`);
  const pod = await call(client, "create_pod_from_template", { name: `${name}-pod`, templateRef });
  await call(client, "delete_pod", { name: pod.name, gracePeriodSeconds: 0 });
  await call(client, "delete_template", { name: templateRef });
  check((await attempt(client, "get_template", { name: templateRef })).isError, `${templateRef} is still there`);
  step(`template ${templateRef} came, changed, made a pod and went`);
}

async function upgrade(client, workspace) {
  const same = await call(client, "upgrade_workspace", { id: workspace });
  check(same.status === "unchanged", `${workspace} is up to date, and it is ${same.status}`);
  const forced = await call(client, "upgrade_workspace", { id: workspace, force: true, wait: true });
  check(forced.status === "upgraded", `waited for the upgrade, and it is ${forced.status}`);
  const details = await call(client, "get_workspace", { id: workspace });
  check(details.podName === forced.podName && forced.podName !== same.podName, `its pod is ${details.podName}`);
  check(details.ready, `${workspace} is not ready: ${details.message}`);
  await call(client, "upgrade_all_workspaces");
  step(`upgraded ${workspace} to pod ${forced.podName}`);
}

async function refusals(client, workspace) {
  for (const [args, expected] of [
    [{ id: `${workspace}-none`, templateRef: "no-such-template" }, "no-such-template"],
    [{ id: workspace, templateRef: TEMPLATE }, workspace],
    [{ id: "Not Valid", templateRef: TEMPLATE }, "Not Valid"],
  ]) {
    const result = await attempt(client, "spawn_workspace", args);
    check(result.isError, `spawn_workspace ${JSON.stringify(args)} succeeded`);
    check(textOf(result).includes(expected), `the error does not name ${expected}: ${textOf(result)}`);
    const code = result.structuredContent?.error?.id ?? "";
    check(code.startsWith("NCR"), `the error has no code: ${JSON.stringify(result.structuredContent)}`);
    step(`refused with ${code}: ${textOf(result).split("\n")[0]}`);
  }
}

async function stop(client, workspace) {
  const stopped = await call(client, "stop_workspace", { id: workspace });
  check(stopped.id === workspace, `stopped ${stopped.id} instead of ${workspace}`);
  const deadline = Date.now() + PATIENCE_MS;
  let result = await attempt(client, "get_workspace", { id: workspace });
  while (!result.isError) {
    check(Date.now() < deadline, `${workspace} does not go away`);
    await sleep(100);
    result = await attempt(client, "get_workspace", { id: workspace });
  }
  check(textOf(result).includes(workspace), `the error does not name ${workspace}: ${textOf(result)}`);
  step(`${workspace} is gone`);
}

async function drive(variant, target) {
  const client = await connect(variant, target, PATIENCE_MS);
  try {
    const { server: info, protocol } = client;
    check(info?.name && info?.version, `the server does not say what it is: ${JSON.stringify(info)}`);
    step(`connected to ${info.name} ${info.version} with protocol ${protocol}`);
    // An id of one's own on a shared server.
    const workspace = `ts-${Date.now().toString(16)}-${process.pid.toString(16)}`;
    await tools(client);
    await server(client);
    await images(client);
    await templates(client);
    const spawned = await spawn(client, workspace);
    await look(client, workspace, spawned.podName);
    await resources(client, workspace);
    await prompts(client, workspace);
    await pods(client, workspace);
    await library(client, workspace);
    await upgrade(client, workspace);
    await refusals(client, workspace);
    await stop(client, workspace);
  } finally {
    await client.close();
  }
}

function parse([first, ...rest]) {
  if (first === "--legacy" || first === "--v1") return [first.slice(2), parseTarget(rest)];
  return ["auto", parseTarget([first, ...rest])];
}

function parseTarget([kind, target, ...args]) {
  if (kind === "http" && target !== undefined) return { url: target };
  if (kind === "stdio" && target !== undefined) return { command: target, args };
  console.error("usage: node client.mjs [--legacy | --v1] (stdio COMMAND [ARGUMENT...] | http URL)");
  process.exit(2);
}

const [variant, target] = parse(process.argv.slice(2));
try {
  await drive(variant, target);
} catch (error) {
  console.log(`FAILED: ${error}`);
  process.exit(1);
}
