"""Drives a no-crd server with the official MCP SDK for Python, as an agent would.

    python client.py [--legacy] stdio COMMAND [ARGUMENT...]
    python client.py [--legacy] http URL

Without --legacy the SDK negotiates the newest protocol it shares with the server; with it, it opens a session with
`initialize` as clients before the revision of 2026-07-28 do. One line per step; exit code 1 and a message when the
server does not behave. The SDK itself validates every result of a tool against the tool's output schema and raises when
it does not fit.
"""

import asyncio
import json
import sys
import time

from mcp import Client, MCPError, StdioServerParameters
from mcp_types import PromptReference, ResourceTemplateReference

TOOLS = {
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
}
RESOURCES = {"pod-template://{namespace}/{name}", "workspace://{namespace}/{id}"}
PROMPTS = {"diagnose-workspace", "spawn-workspace"}
TEMPLATE = "default-agent-workspace"
# Of the annotation that holds a template's version.
VERSION = "nogoo9/template-version"
IMAGE = "busybox"
# Long enough for a busy machine; nothing waits that long when all is well.
PATIENCE_SECONDS = 120


class Misbehaviour(Exception):
    """The server did something else than it should."""


def check(holds, message):
    if not holds:
        raise Misbehaviour(message)


def step(text):
    print(f"ok: {text}", flush=True)


async def call(client, name, /, **arguments):
    """The structured result of a tool that must succeed."""
    result = await client.call_tool(name, arguments)
    return succeeded(name, result)


def succeeded(name, result):
    check(not result.is_error, f"{name} failed: {text_of(result)}")
    check(text_of(result), f"{name} says nothing in words")
    check(isinstance(result.structured_content, dict), f"{name} gives no structured content")
    return result.structured_content


def text_of(result):
    return "\n".join(block.text for block in result.content if block.type == "text")


async def tools(client):
    listed = {}
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        listed.update((tool.name, tool) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None:
            break
    check(TOOLS <= listed.keys(), f"tools are missing: {sorted(TOOLS - listed.keys())}")
    for tool in listed.values():
        check(tool.title, f"{tool.name} has no title")
        check(tool.description, f"{tool.name} has no description")
        check(tool.output_schema, f"{tool.name} has no output schema")
        hints = tool.annotations
        check(hints is not None, f"{tool.name} has no annotations")
        check(hints.read_only_hint is not None, f"{tool.name} does not say whether it only reads")
    check(listed["list_workspaces"].annotations.read_only_hint, "list_workspaces is said to change something")
    check(listed["stop_workspace"].annotations.destructive_hint, "stop_workspace is said to be harmless")
    check(listed["list_registry_images"].annotations.open_world_hint, "list_registry_images is said to keep to the cluster")
    check(listed["list_workspaces"].annotations.open_world_hint is False, "list_workspaces is said to reach beyond it")
    step(f"{len(listed)} tools, all with title, annotations and output schema")


async def server(client):
    where = await call(client, "current_namespace")
    check(where["namespace"], "the default namespace has no name")
    step(f"namespace {where['namespace']}, mode {where['mode']}")
    capabilities = await call(client, "get_capabilities")
    missing = TOOLS - set(capabilities["enabledTools"])
    check(not missing, f"tools are disabled: {sorted(missing)}")
    permissions = await call(client, "check_permissions")
    check(permissions["complete"], "permissions are not known")
    check(not permissions["disabledTools"], f"tools are disabled: {permissions['disabledTools']}")
    namespaces = (await call(client, "list_namespaces"))["namespaces"]
    check(where["namespace"] in namespaces, "the default namespace is not among the namespaces")
    step(f"version {capabilities['version']}, {len(capabilities['enabledTools'])} tools enabled")


async def images(client):
    result = await client.call_tool("list_registry_images", {"repository": "a", "limit": 10})
    listed = succeeded("list_registry_images", result)
    check(len(listed["images"]) <= 10, f"asked for 10 images, got {len(listed['images'])}")
    told = listed["registry"] or "REGISTRY_URL" in text_of(result)
    check(told, f"nothing says which registry is listed, or how to name one: {text_of(result)}")
    step(f"{len(listed['images'])} images of {listed['registry'] or 'no registry'}")


async def templates(client):
    entries = (await call(client, "list_templates"))["templates"]
    check(any(entry["name"] == TEMPLATE for entry in entries), f"{TEMPLATE} is not among the templates")
    step(f"{len(entries)} templates")
    template = await call(client, "get_template", name=TEMPLATE)
    check(template["spec"]["containers"], f"{TEMPLATE} has no containers")
    step(f"template {TEMPLATE}, version {template['version']}")


async def spawn(client, workspace):
    said = []

    async def progress(progress, total, message):
        said.append((progress, message))

    arguments = {"id": workspace, "name": "A Python client's", "templateRef": TEMPLATE, "wait": True}
    result = await client.call_tool("spawn_workspace", arguments, progress_callback=progress)
    spawned = succeeded("spawn_workspace", result)
    check(spawned["id"] == workspace, f"asked for {workspace}, got {spawned['id']}")
    check(spawned["status"] == "running", f"waited for it, and it is {spawned['status']}")
    check(said, "no progress was reported")
    values = [value for value, _ in said]
    check(values == sorted(set(values)), f"progress does not rise: {values}")
    check(all(message for _, message in said), f"progress without words: {said}")
    step(f"spawned {workspace} as pod {spawned['podName']}, {len(said)} reports of progress")
    return spawned


async def look(client, workspace, pod):
    entries = (await call(client, "list_workspaces"))["workspaces"]
    check(any(entry["id"] == workspace for entry in entries), f"{workspace} is not among the workspaces")
    step(f"{len(entries)} workspaces")
    details = await call(client, "get_workspace", id=workspace)
    check(details["status"] == "Running", f"{workspace} is {details['status']}")
    check(details["name"] == "A Python client's", f"its name is {details['name']!r}")
    check(details["podName"] == pod, f"its pod is {details['podName']}, not {pod}")
    step(f"{workspace} runs at {details['podIP']}:{details['port']}")
    events = (await call(client, "get_workspace_events", id=workspace))["events"]
    reasons = [event["reason"] for event in events]
    check("Started" in reasons, f"there is no event about its start: {reasons}")
    step(f"events {', '.join(reasons)}")


async def resources(client, workspace):
    kinds = {kind.uri_template for kind in (await client.list_resource_templates()).resource_templates}
    check(kinds == RESOURCES, f"the kinds of resources are {sorted(kinds)}")
    listed = {}
    cursor = None
    while True:
        page = await client.list_resources(cursor=cursor, cache_mode="bypass")
        listed.update((resource.uri, resource) for resource in page.resources)
        cursor = page.next_cursor
        if cursor is None:
            break
    [template] = [uri for uri in listed if uri.startswith("pod-template:") and uri.endswith(f"/{TEMPLATE}")]
    spec = await read(client, template)
    check(spec["containers"], f"{template} has no containers")
    [uri] = [uri for uri in listed if uri.startswith("workspace:") and uri.endswith(f"/{workspace}")]
    details = await read(client, uri)
    check(details["id"] == workspace, f"{uri} is {details['id']}")
    try:
        await client.read_resource(f"{uri}-none")
    except MCPError as error:
        step(f"refused: {error}")
    else:
        check(False, f"{uri}-none was read")
    reference = ResourceTemplateReference(uri="workspace://{namespace}/{id}")
    found = await client.complete(reference, {"name": "id", "value": workspace[:-1]})
    check(workspace in found.completion.values, f"{workspace} is not among {found.completion.values}")
    step(f"{len(listed)} resources, of them {template} and {uri}")


async def read(client, uri):
    """The JSON that a resource holds."""
    [contents] = (await client.read_resource(uri)).contents
    check(str(contents.uri) == uri, f"asked for {uri}, got {contents.uri}")
    check(contents.mime_type == "application/json", f"{uri} is {contents.mime_type}")
    return json.loads(contents.text)


async def prompts(client, workspace):
    listed = {prompt.name for prompt in (await client.list_prompts()).prompts}
    check(listed == PROMPTS, f"the prompts are {sorted(listed)}")
    prompt = await client.get_prompt("spawn-workspace", {"task": "Count to ten", "templateRef": TEMPLATE})
    check("Count to ten" in prompt.messages[0].content.text, f"the prompt forgets its task: {prompt.messages}")
    prompt = await client.get_prompt("diagnose-workspace", {"id": workspace})
    embedded = [message.content for message in prompt.messages if message.content.type == "resource"]
    check(len(embedded) == 1, f"the workspace is not embedded: {prompt.messages}")
    found = await client.complete(PromptReference(name="spawn-workspace"), {"name": "templateRef", "value": TEMPLATE[:5]})
    check(TEMPLATE in found.completion.values, f"{TEMPLATE} is not among {found.completion.values}")
    step(f"prompts {', '.join(sorted(listed))}")


async def pods(client, workspace):
    name = f"{workspace}-pod"
    script = "echo hello; exec sleep 600"
    container = {"name": "agent", "image": IMAGE, "command": ["/bin/sh", "-c", script]}
    container["resources"] = {"requests": {"memory": "16Mi"}}
    created = await call(client, "create_pod", name=name, containers=[container])
    check(created["name"] == name, f"asked for {name}, got {created['name']}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        result = await client.call_tool("get_pod_logs", {"name": name})
        if not result.is_error and result.structured_content["logs"] == "hello\n":
            break
        check(time.monotonic() < deadline, f"{name} says nothing: {text_of(result)}")
        await asyncio.sleep(0.1)
    listed = await call(client, "list_pods", fieldSelector=f"metadata.name={name}")
    check([entry["name"] for entry in listed["pods"]] == [name], f"the pods are {listed['pods']}")
    change = {
        "metadata": {"annotations": {"example.com/note": "hello"}},
        "spec": {"containers": [{"name": "agent", "resources": {"requests": {"memory": "32Mi"}}}]},
    }
    patched = await call(client, "patch_pod", name=name, patch=change)
    pod = (await call(client, "get_pod", name=name))["pod"]
    check(pod["metadata"]["annotations"]["example.com/note"] == "hello", f"the note is lost: {pod['metadata']}")
    check(patched["resourceVersion"], "the pod has no version")
    deleted = await call(client, "delete_pod", name=name, gracePeriodSeconds=0)
    check(deleted["status"] == "terminating", f"{name} is {deleted['status']}")
    step(f"pod {name} came, spoke, changed and went")


async def library(client, workspace):
    name = f"{workspace}-template"
    spec = {"containers": [{"name": "agent", "image": IMAGE, "command": ["sleep", "600"], "args": ["${{user}}"]}]}
    created = await call(client, "create_template", name=name, description="For a test", spec=spec)
    reference = created["templateRef"]
    await call(client, "update_template", name=reference, annotations={VERSION: "1.1.0"})
    template = await call(client, "get_template", name=reference)
    check(template["version"] == "1.1.0", f"{reference} has version {template['version']}")
    check(template["description"] == "For a test", f"{reference} is {template['description']!r}")
    pod = await call(client, "create_pod_from_template", name=f"{name}-pod", templateRef=reference)
    await call(client, "delete_pod", name=pod["name"], gracePeriodSeconds=0)
    await call(client, "delete_template", name=reference)
    result = await client.call_tool("get_template", {"name": reference})
    check(result.is_error, f"{reference} is still there")
    step(f"template {reference} came, changed, made a pod and went")


async def upgrade(client, workspace):
    result = await client.call_tool("upgrade_workspace", {"id": workspace})
    same = succeeded("upgrade_workspace", result)
    check(same["status"] == "unchanged", f"{workspace} is up to date, and it is {same['status']}")
    forced = await call(client, "upgrade_workspace", id=workspace, force=True, wait=True)
    check(forced["status"] == "upgraded", f"waited for the upgrade, and it is {forced['status']}")
    details = await call(client, "get_workspace", id=workspace)
    check(details["podName"] == forced["podName"] != same["podName"], f"its pod is {details['podName']}")
    check(details["ready"], f"{workspace} is not ready: {details['message']}")
    await call(client, "upgrade_all_workspaces")
    step(f"upgraded {workspace} to pod {forced['podName']}")


async def refusals(client, workspace):
    for arguments, expected in [
        ({"id": f"{workspace}-none", "templateRef": "no-such-template"}, "no-such-template"),
        ({"id": workspace, "templateRef": TEMPLATE}, workspace),
        ({"id": "Not Valid", "templateRef": TEMPLATE}, "Not Valid"),
    ]:
        result = await client.call_tool("spawn_workspace", arguments)
        check(result.is_error, f"spawn_workspace {arguments} succeeded")
        check(expected in text_of(result), f"the error does not name {expected!r}: {text_of(result)}")
        error = (result.structured_content or {}).get("error", {})
        check(error.get("id", "").startswith("NCR"), f"the error has no code: {result.structured_content}")
        step(f"refused with {error['id']}: {text_of(result).splitlines()[0]}")


async def stop(client, workspace):
    stopped = await call(client, "stop_workspace", id=workspace)
    check(stopped["id"] == workspace, f"stopped {stopped['id']} instead of {workspace}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        result = await client.call_tool("get_workspace", {"id": workspace})
        if result.is_error:
            break
        check(time.monotonic() < deadline, f"{workspace} does not go away")
        await asyncio.sleep(0.1)
    check(workspace in text_of(result), f"the error does not name {workspace}: {text_of(result)}")
    step(f"{workspace} is gone")


async def drive(target, legacy):
    # An id of one's own on a shared server.
    workspace = f"py-{time.time_ns():x}"
    mode = "legacy" if legacy else "auto"
    async with Client(target, mode=mode, read_timeout_seconds=PATIENCE_SECONDS) as client:
        info = client.server_info
        check(info is not None and info.name and info.version, f"the server does not say what it is: {info}")
        step(f"connected to {info.name} {info.version} with protocol {client.protocol_version}")
        await tools(client)
        await server(client)
        await images(client)
        await templates(client)
        spawned = await spawn(client, workspace)
        await look(client, workspace, spawned["podName"])
        await resources(client, workspace)
        await prompts(client, workspace)
        await pods(client, workspace)
        await library(client, workspace)
        await upgrade(client, workspace)
        await refusals(client, workspace)
        await stop(client, workspace)


def parse(arguments):
    legacy = arguments[:1] == ["--legacy"]
    match arguments[legacy:]:
        case ["http", url]:
            return url, legacy
        case ["stdio", command, *rest]:
            return StdioServerParameters(command=command, args=rest), legacy
        case _:
            sys.exit(__doc__)


def causes(error):
    """The errors at the leaves: task groups wrap them."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from causes(inner)
    else:
        yield error


def main():
    target, legacy = parse(sys.argv[1:])
    try:
        asyncio.run(drive(target, legacy))
    except Exception as error:
        for cause in causes(error):
            print(f"FAILED: {type(cause).__name__}: {cause}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
