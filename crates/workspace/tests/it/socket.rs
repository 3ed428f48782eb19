use futures::{SinkExt, StreamExt};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{Running, patiently};

pub(crate) type Client = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

pub(crate) async fn connect(workspace: &Running) -> Client {
    connect_async(format!("ws://{}/echo", workspace.addr)).await.unwrap().0
}

pub(crate) async fn next(client: &mut Client) -> Message {
    patiently(client.next()).await.unwrap().unwrap()
}

/// Reads on to the close frame's code.
pub(crate) async fn close_code(client: &mut Client) -> CloseCode {
    loop {
        if let Message::Close(frame) = next(client).await {
            return frame.unwrap().code;
        }
    }
}

#[tokio::test]
async fn sends_back_texts_and_bytes_up_to_large_ones() {
    let workspace = Running::start().await;
    let mut client = connect(&workspace).await;
    for message in [
        Message::text("grüß"),
        Message::text(""),
        Message::binary(vec![0_u8, 255]),
        Message::binary(vec![7_u8; 1024 * 1024]),
        Message::text("a".repeat(1024 * 1024)),
    ] {
        client.send(message.clone()).await.unwrap();
        assert!(next(&mut client).await == message);
    }
}

#[tokio::test]
async fn keeps_the_order_of_messages_sent_ahead() {
    let workspace = Running::start().await;
    let (mut sink, mut stream) = connect(&workspace).await.split();
    let send = async {
        for number in 0..1_000 {
            sink.send(Message::text(number.to_string())).await.unwrap();
        }
    };
    let receive = async {
        for number in 0..1_000 {
            assert_eq!(stream.next().await.unwrap().unwrap(), Message::text(number.to_string()));
        }
    };
    patiently(async { tokio::join!(send, receive) }).await;
}

#[tokio::test]
async fn answers_pings_and_close_frames() {
    let workspace = Running::start().await;
    let mut client = connect(&workspace).await;
    client.send(Message::Ping("beat".into())).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong("beat".into()));
    client.close(Some(CloseFrame { code: CloseCode::Library(4001), reason: "done".into() })).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Library(4001));
    assert!(patiently(client.next()).await.is_none());
}

#[tokio::test]
async fn says_why_it_closes() {
    let workspace = Running::start().await;
    let mut client = connect(&workspace).await;
    let too_large = vec![0_u8; 5 * 1024 * 1024];
    client.send(Message::binary(too_large)).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Size);

    let mut client = connect(&workspace).await;
    use tokio::io::AsyncWriteExt;
    // A final text frame, masked with zeros, of one byte that is no UTF-8.
    client.get_mut().write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Invalid);

    let mut client = connect(&workspace).await;
    // The same, not masked.
    client.get_mut().write_all(&[0x81, 0x01, b'a']).await.unwrap();
    assert_eq!(close_code(&mut client).await, CloseCode::Protocol);
}

#[tokio::test]
async fn refuses_a_handshake_that_is_none() {
    let workspace = Running::start().await;
    let mut request = format!("ws://{}/echo", workspace.addr).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-version", "12".parse().unwrap());
    let Err(Error::Http(answer)) = connect_async(request).await else {
        panic!("a handshake of version 12 passed")
    };
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["sec-websocket-version"]),
        (426, &"13".parse().unwrap())
    );
}
