"""What the error codes of Aliyun Mobile Push mean for a message.

A call is refused as a whole: with an error code nothing of it was pushed, :attr:`Fault.DOUBT` excepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from push_provider.channels.codes import Fault, Meaning

SERVICE = "https://help.aliyun.com/zh/document_detail/3057552.html"
"""Error codes of Mobile Push."""
CLIENT = "https://help.aliyun.com/document_detail/48054.html"
"""Error codes of calls of Mobile Push that its gateway refuses."""
SERVER = "https://help.aliyun.com/document_detail/435312.html"
"""Server-side error codes that all of Aliyun's services share."""
GATEWAY = "https://developer.aliyun.com/ask/278265"
"""Error codes that all of Aliyun's services share."""

_KEY = "correct the access key id (login) and its secret (password) of the connection"
_APP = "correct the app key of the connection: it is that of one app, for one platform"
_PERMISSION = "grant the RAM user of this access key mpush:MassPushV2"
_STATE = "look at the state of the Aliyun account in the console"
_ACTIVATE = "activate Mobile Push for this Aliyun account"
_ENDPOINT = "correct the endpoint of the connection"
_CERTIFICATE = "upload a certificate that is valid for the APNs environment of the connection, in the EMAS console"
_CLOCK = "set the clock of this machine"

CODES: Mapping[str, Meaning] = {
    # --- the account or the app: nothing of the execution can be pushed
    "AccountDisabled": Meaning(Fault.ACCOUNT, SERVICE, _ACTIVATE),
    "AccountInDebt": Meaning(Fault.ACCOUNT, SERVICE, "top up the Aliyun account"),
    "AccountNotEnabled": Meaning(Fault.ACCOUNT, SERVICE, _ACTIVATE),
    "AccountNotSupport": Meaning(Fault.ACCOUNT, CLIENT, _STATE),
    "AccountNotSupported": Meaning(Fault.ACCOUNT, SERVICE, _STATE),
    "AccountProhibited": Meaning(Fault.ACCOUNT, SERVICE, _STATE),
    "AppNotConfigAndroid": Meaning(Fault.ACCOUNT, SERVICE, "enter the app's package name in the EMAS console"),
    "AppNotConfigIOS": Meaning(Fault.ACCOUNT, SERVICE, _CERTIFICATE),
    "AppTypeNotIos": Meaning(Fault.ACCOUNT, SERVICE, _APP),
    "CertificateExpired": Meaning(Fault.ACCOUNT, SERVICE, _CERTIFICATE),
    "CertificateRevoked": Meaning(Fault.ACCOUNT, SERVICE, _CERTIFICATE),
    "CertModeNotMatch": Meaning(Fault.ACCOUNT, SERVICE, _CERTIFICATE),
    "ChannelConfigNotConfigured": Meaning(
        Fault.ACCOUNT, SERVICE, "configure the phone vendors' channels in the EMAS console"
    ),
    "InvalidAppKey.Format": Meaning(Fault.ACCOUNT, SERVICE, _APP),
    "MissingAppKey": Meaning(Fault.ACCOUNT, CLIENT, _APP),
    # --- the gateway does not know the caller, or the call
    "InvalidProduct.NotFound": Meaning(Fault.ACCOUNT, CLIENT, _ENDPOINT),
    "InvalidApi.NotFound": Meaning(Fault.ACCOUNT, CLIENT, _ENDPOINT),
    "InvalidAction.NotFound": Meaning(Fault.ACCOUNT, GATEWAY, _ENDPOINT),
    "InvalidVersion": Meaning(Fault.ACCOUNT, GATEWAY, _ENDPOINT),
    "InvalidProtocol.NeedSsl": Meaning(Fault.ACCOUNT, CLIENT, "give the endpoint of the connection with https://"),
    "InvalidTimeStamp.Format": Meaning(Fault.ACCOUNT, CLIENT, _CLOCK),
    "InvalidTimeStamp.Expired": Meaning(Fault.ACCOUNT, CLIENT, _CLOCK),
    "SignatureDoesNotMatch": Meaning(Fault.ACCOUNT, CLIENT, _KEY),
    "IncompleteSignature": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "MissingAccessKeyId": Meaning(Fault.ACCOUNT, CLIENT, _KEY),
    "NoPermission": Meaning(Fault.ACCOUNT, GATEWAY, _PERMISSION),
    # --- one recipient, or what is sent to them
    "AccountLimitExceed": Meaning(Fault.RECIPIENT, SERVICE),
    "AliasLimitExceed": Meaning(Fault.RECIPIENT, SERVICE),
    # --- not now
    "SignatureNonceUsed": Meaning(Fault.BUSY, CLIENT, wait=0.1),  # "called too fast"
    "ServiceUnavailable": Meaning(Fault.BUSY, SERVER, wait=5.0),
    # --- nobody can tell
    "InternalError": Meaning(Fault.DOUBT, SERVER),
}

_FAMILIES: Mapping[str, Meaning] = {
    "Throttling": Meaning(Fault.BUSY, CLIENT, wait=1.0),
    "InvalidAccessKeyId": Meaning(Fault.ACCOUNT, CLIENT, _KEY),
    "InvalidSecurityToken": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "InvalidAppKey": Meaning(Fault.ACCOUNT, SERVICE, _APP),
    "Forbidden": Meaning(Fault.ACCOUNT, GATEWAY, _PERMISSION),
}
"""Codes that come in several forms: ``Throttling``, ``Throttling.User``, ``Throttling.Api`` …"""

_BAD_FORM = re.compile(r"Invalid\w+\.Format|Missing\w+", re.ASCII)
"""``Invalid%s.Format`` and ``Missing{ParameterName}``: of what differs from message to message."""
_UNKNOWN = Meaning(Fault.RECIPIENT, "not listed")
"""A code that is new to us refuses the call like any other: it is shown as it came."""
_FAILED = Meaning(Fault.DOUBT, "not listed")
"""With a status of 5xx it says that Aliyun failed, and not how far it had come."""


def meaning(code: str, status: int = 200) -> Meaning:
    """What an error code means.

    :param code: as Aliyun gave it.
    :param status: of HTTP, which tells what a code may mean that is not listed.
    """
    known = CODES.get(code) or _FAMILIES.get(code.partition(".")[0])
    if known is None and _BAD_FORM.fullmatch(code):
        return Meaning(Fault.RECIPIENT, SERVICE)
    return known or (_FAILED if status >= 500 else _UNKNOWN)
