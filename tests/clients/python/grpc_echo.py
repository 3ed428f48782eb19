"""gRPC without generated code: messages are plain bytes.

    grpc_echo.py serve PORT          a server on that port of the address in POD_IP
    grpc_echo.py call TARGET PREFIX  a client of it behind a proxy at TARGET, which serves it under PREFIX
"""

import os
import sys
from concurrent import futures

import grpc


def unary(request, context):
    told = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-told", told.get("x-user-sub", "nobody")),))
    return b"<" + request + b">"


def refuse(_request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")


def both(requests, _context):
    for request in requests:
        yield b"<" + request + b">"


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Both": grpc.stream_stream_rpc_method_handler(both),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"{os.environ['POD_IP']}:{port}")
    server.start()
    server.wait_for_termination()


def call(target, prefix):
    # A proxy set by the environment is none of ours.
    channel = grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])
    name = f"{prefix}/echo.Echo"
    patience = {"timeout": 60, "wait_for_ready": True}

    answer, finished = channel.unary_unary(f"{name}/Unary").with_call(b"hello", **patience)
    assert answer == b"<hello>", answer
    told = dict(finished.trailing_metadata())["x-told"]
    assert told == "nobody", told

    large = bytes(3 * 1024 * 1024)
    assert channel.unary_unary(f"{name}/Unary")(large, **patience) == b"<" + large + b">"

    try:
        channel.unary_unary(f"{name}/Refuse")(b"", **patience)
        raise AssertionError("it was not refused")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "not now", error

    # The next message is sent only when the one before has come back.
    said = iter([b"one", b"two", b"three"])
    answers = channel.stream_stream(f"{name}/Both")(said, **patience)
    assert [*answers] == [b"<one>", b"<two>", b"<three>"]

    # What is nobody's is told as gRPC clients expect it of a proxy: by the status of HTTP.
    try:
        channel.unary_unary("/route/nobodys/echo.Echo/Unary")(b"", timeout=60)
        raise AssertionError("a workspace that is not there answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    channel.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port]:
            serve(int(port))
        case ["call", target, prefix]:
            call(target, prefix)
        case _:
            sys.exit(__doc__)
