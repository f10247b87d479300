"""What the error codes of Firebase Cloud Messaging mean for a message; each call is one message."""

from __future__ import annotations

from collections.abc import Mapping

from push_provider.channels.codes import Fault, Meaning

FCM = "https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode"
"""Error codes of FCM."""
STATUS = "https://cloud.google.com/apis/design/errors"
"""Status codes that all of Google's services share."""

_ACCOUNT = "use the service account of the project that the app belongs to, and enable the FCM API there"
_TOKEN = "make a new key of the service account, and set the clock of this machine"  # noqa: S105  (no password)

CODES: Mapping[str, Meaning] = {
    # The app is gone from the device, or its token has expired; the app gets another one when it runs again.
    "UNREGISTERED": Meaning(Fault.RECIPIENT, FCM, gone=True),
    "SENDER_ID_MISMATCH": Meaning(Fault.RECIPIENT, FCM),  # a token of another project
    "INVALID_ARGUMENT": Meaning(Fault.RECIPIENT, FCM),
    "UNSPECIFIED_ERROR": Meaning(Fault.RECIPIENT, FCM),
    # Of iOS and web alone: others of the same execution may get theirs.
    "THIRD_PARTY_AUTH_ERROR": Meaning(Fault.RECIPIENT, FCM),
    "QUOTA_EXCEEDED": Meaning(Fault.BUSY, FCM, wait=60.0),
    "UNAVAILABLE": Meaning(Fault.BUSY, FCM, wait=1.0),
    "INTERNAL": Meaning(Fault.DOUBT, FCM),
    "RESOURCE_EXHAUSTED": Meaning(Fault.BUSY, STATUS, wait=60.0),
    "DEADLINE_EXCEEDED": Meaning(Fault.DOUBT, STATUS),
    "UNKNOWN": Meaning(Fault.DOUBT, STATUS),
    "UNAUTHENTICATED": Meaning(Fault.ACCOUNT, STATUS, _TOKEN),
    "PERMISSION_DENIED": Meaning(Fault.ACCOUNT, STATUS, _ACCOUNT),
    "NOT_FOUND": Meaning(Fault.ACCOUNT, STATUS, "correct the project of the connection"),
}
_UNKNOWN = Meaning(Fault.RECIPIENT, "not listed")


def meaning(code: str) -> Meaning:
    """What an error code means: an FCM one, else a status."""
    return CODES.get(code, _UNKNOWN)
