//! Standard input and output.

use nocrd_model::Caller;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    http::{call, initialize},
    world::World,
};

struct Pipe {
    input: WriteHalf<DuplexStream>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    serving: JoinHandle<std::io::Result<()>>,
    shutdown: CancellationToken,
}

impl Pipe {
    fn to(world: &World) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (their_input, their_output) = tokio::io::split(theirs);
        let shutdown = CancellationToken::new();
        let surface = world.surface.clone();
        let serving = nocrd_mcp_surface::serve_io(
            surface,
            Caller::local(),
            their_input,
            their_output,
            shutdown.clone(),
        );
        let (output, input) = tokio::io::split(ours);
        Self { input, output: BufReader::new(output).lines(), serving: tokio::spawn(serving), shutdown }
    }

    async fn send(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line, which must be a JSON-RPC message.
    async fn next(&mut self) -> Value {
        let line = self.output.next_line().await.unwrap().expect("a line");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not protocol: {line}"));
        assert_eq!(message["jsonrpc"], "2.0");
        message
    }
}

#[tokio::test(start_paused = true)]
async fn t65_nothing_but_protocol_is_written() {
    let world = World::new().await.synced().await;
    let mut pipe = Pipe::to(&world);
    pipe.send(&initialize("2025-11-25").to_string()).await;
    assert_eq!(pipe.next().await["result"]["serverInfo"]["name"], "nogoo9");
    pipe.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()).await;
    // Lines that are no messages are answered with an error or not at all, but never with anything else.
    pipe.send("this is not JSON").await;
    pipe.send(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\",\"params\":{}{}}}",
        "[".repeat(500),
        "]".repeat(500)
    ))
    .await;
    let mut ids = Vec::new();
    for (id, tool) in (10..).zip(["list_templates", "list_workspaces", "get_capabilities", "no_such_tool"]) {
        pipe.send(&call(id, tool, json!({})).to_string()).await;
        ids.push(json!(id));
    }
    while !ids.is_empty() {
        let message = pipe.next().await;
        ids.retain(|id| *id != message["id"]);
    }
    // It ends with its input, and closes its output without another word.
    pipe.input.shutdown().await.unwrap();
    pipe.serving.await.unwrap().unwrap();
    assert_eq!(pipe.output.next_line().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_to() {
    let world = World::new().await.synced().await;
    let mut busy = Pipe::to(&world);
    busy.send(&initialize("2025-06-18").to_string()).await;
    busy.next().await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    busy.send(&call(2, "spawn_workspace", json!({"id": "w1", "spec": spec, "wait": true})).to_string()).await;
    crate::world::until("the pod", || !world.api.objects("pods").is_empty()).await;
    busy.shutdown.cancel();
    busy.serving.await.unwrap().unwrap();

    let silent = Pipe::to(&world);
    silent.shutdown.cancel();
    silent.serving.await.unwrap().unwrap();

    let mut gone = Pipe::to(&world);
    gone.input.shutdown().await.unwrap();
    gone.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_stateless_version_is_spoken_here_too() {
    let world = World::new().await.synced().await;
    let mut pipe = Pipe::to(&world);
    let mut message = call(1, "get_capabilities", json!({}));
    message["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    pipe.send(&message.to_string()).await;
    let reply = pipe.next().await;
    let me = &reply["result"]["structuredContent"];
    assert_eq!(
        (&me["isAdmin"], &me["userSub"]),
        (&json!(true), &json!("guest")),
        "the local user's own domain"
    );
}
