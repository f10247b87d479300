"""``python -m sandbox``: starts every stand-in, and ends them all at Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from push_provider.exceptions import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until a signal ends it.

    :param arguments: the command line; None for the process's own.
    :returns: the exit code: 0 when ended by a signal, 2 when it cannot start.
    """
    options = _parser().parse_args(arguments)
    # Not for errors in mails and requests: the client is told of those.
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    try:
        asyncio.run(_run(options))
    except ConfigurationError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the handlers were in place
        pass
    return 0


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        smtp_socket = stack.enter_context(_listen(options.host, options.smtp_port, "--smtp-port"))
        http_socket = stack.enter_context(_listen(options.host, options.http_port, "--http-port"))
        sms_socket = stack.enter_context(_listen(options.host, options.sms_port, "--sms-port"))
        centrifugo_socket = stack.enter_context(_listen(options.host, options.centrifugo_port, "--centrifugo-port"))
        kafka_socket = stack.enter_context(_listen(options.host, options.kafka_port, "--kafka-port"))
        # Imported only now: they take a second, in which a signal must already end the process in order,
        # and for which a port in use need not wait.
        from sandbox.mailbox import Mailbox

        mailbox = stack.enter_context(Mailbox(options.folder, keep=options.keep))
        from sandbox.sms_gateway import SmsGateway
        from sandbox.sms_signature import access_key
        from sandbox.sms_store import SmsStore

        store = stack.enter_context(SmsStore(options.folder / "sms", keep=options.keep_sms))
        gateway = SmsGateway(store, dict([access_key()]))
        from sandbox import centrifugo, page, sms_http, smtp
        from sandbox.aliyun import Products
        from sandbox.app_aliyun import app_gateway
        from sandbox.app_store import AppStore

        phones = AppStore()
        push = app_gateway(phones, dict([access_key()]))
        from sandbox.fcm import FcmGateway
        from sandbox.fcm_account import service_account
        from sandbox.vendors import Vendors

        addresses = page.Addresses(smtp=_address(smtp_socket), sms=_address(sms_socket))
        google = FcmGateway(phones, service_account(options.folder / "fcm", addresses.sms))
        await stack.enter_async_context(smtp.serve(smtp_socket, mailbox))
        await stack.enter_async_context(sms_http.serve(sms_socket, Vendors(Products(gateway, push), google)))
        live = centrifugo.Centrifugo()
        await stack.enter_async_context(centrifugo.serve(centrifugo_socket, live))
        from sandbox.devices import Devices

        devices = Devices(live.streams, phones)
        await stack.enter_async_context(
            page.serve(http_socket, mailbox, gateway, addresses, (phones, push, google), devices)
        )
        from sandbox import kafka

        await stack.enter_async_context(kafka.serve(kafka_socket))
        print(
            f"Sandbox is ready: smtp {addresses.smtp}, sms http://{addresses.sms}/, "
            f"mailbox http://{_address(http_socket)}/, kafka {_address(kafka_socket)}, "
            f"centrifugo http://{_address(centrifugo_socket)}/",
            flush=True,
        )
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A mail server, an SMS gateway and app push that keep what they get, a page that shows it, Kafka "
        "and Centrifugo. For development.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument(
        "--smtp-port",
        type=_port,
        default=os.environ.get("PUSH_SANDBOX_SMTP_PORT") or "1025",
        help="port of the mail server; 0 takes a free one (environment: PUSH_SANDBOX_SMTP_PORT)",
    )
    parser.add_argument(
        "--http-port",
        type=_port,
        default=os.environ.get("PUSH_SANDBOX_HTTP_PORT") or "8025",
        help="port of the mailbox's page; 0 takes a free one (environment: PUSH_SANDBOX_HTTP_PORT)",
    )
    parser.add_argument(
        "--sms-port",
        type=_port,
        default=os.environ.get("PUSH_SANDBOX_SMS_PORT") or "8026",
        help="port of SMS gateway and app push; 0 takes a free one (environment: PUSH_SANDBOX_SMS_PORT; its key: "
        "PUSH_SANDBOX_SMS_KEY_ID, PUSH_SANDBOX_SMS_KEY_SECRET)",
    )
    parser.add_argument(
        "--kafka-port",
        type=_port,
        default=os.environ.get("PUSH_SANDBOX_KAFKA_PORT") or "9092",
        help="port of Kafka; 0 takes a free one (environment: PUSH_SANDBOX_KAFKA_PORT)",
    )
    parser.add_argument(
        "--centrifugo-port",
        type=_port,
        default=os.environ.get("PUSH_SANDBOX_CENTRIFUGO_PORT") or "8027",
        help="port of Centrifugo; 0 takes a free one (environment: PUSH_SANDBOX_CENTRIFUGO_PORT)",
    )
    parser.add_argument(
        "--folder", type=Path, default=home / "sandbox" / "mails", help="where mails are kept, and SMS, in sms below it"
    )
    parser.add_argument("--keep", type=_count, default="10000", help="mails kept; the oldest give way")
    parser.add_argument("--keep-sms", type=_count, default="10000", help="SMS kept; the oldest give way")
    return parser


def _loopback(text: str) -> str:
    if text == "localhost":
        return "127.0.0.1"
    try:
        if ipaddress.ip_address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a loopback address: the sandbox asks for no password, so it listens on this "
        "machine only; use 127.0.0.1 or ::1"
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _listen(host: str, port: int, option: str) -> socket.socket:
    """A bound socket.

    :raises ConfigurationError: the port cannot be had; the text names it and ``option``.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, pipelined mails wait
    # 40 ms each for a delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port whose last connections are still closing is free; one that somebody listens on is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({(error.strerror or 'unknown error').lower()}); "
            f"choose another with {option}"
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
