"""The service account of the sandbox's Firebase project: made once in its folder, with a key of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

PROJECT = "push-sandbox"
EMAIL = f"push@{PROJECT}.iam.gserviceaccount.com"
TOKEN_PATH = "/fcm/token"  # noqa: S105  (no password)
_FILE = "fcm-account.json"


def service_account(folder: Path, address: str) -> dict[str, Any]:
    """The account's JSON file, as Firebase gives it to people; it opens nothing but the sandbox.

    :param folder: where it is kept; several processes may ask at the same time.
    :param address: host and port of the sandbox's Aliyun, which is Google, too.
    """
    path = folder / _FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        made.write_text(json.dumps(new_account()))
        made.chmod(0o600)
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(made, path)
        made.unlink()
    account: dict[str, Any] = json.loads(path.read_text())
    return {**account, "token_uri": f"http://{address}{TOKEN_PATH}"}


def new_account() -> dict[str, Any]:
    """Another one, with a new key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": EMAIL,
    }
