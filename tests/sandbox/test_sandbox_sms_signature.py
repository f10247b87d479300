"""The gateway's own check of a signature, against Aliyun's published example and every way to be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.sms_refusal import Refusal
from sandbox.sms_signature import ALGORITHM, Request, Verifier, sign, string_to_sign

# The example of https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
EXAMPLE_KEY, EXAMPLE_SECRET = "YourAccessKeyId", "YourAccessKeySecret"
EXAMPLE_HASH = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
EXAMPLE_SIGNATURE = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
EXAMPLE_QUERY = (
    ("RegionId", "cn-shanghai"),
    ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
)
EXAMPLE_HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-version": "2014-05-26",
}
NOW = datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC)


def _request(headers=EXAMPLE_HEADERS, query=EXAMPLE_QUERY, method="POST", path="/", body=b"", **authorization):
    parts = {
        "key": EXAMPLE_KEY,
        "signed": ";".join(sorted(EXAMPLE_HEADERS)),
        "signature": EXAMPLE_SIGNATURE,
        **authorization,
    }
    text = f"{ALGORITHM} Credential={parts['key']},SignedHeaders={parts['signed']},Signature={parts['signature']}"
    fields = {"authorization": text, **headers}
    return Request(method, path, query, {name: [value] for name, value in fields.items()}, body)


def _signed(secret=EXAMPLE_SECRET, **changes):
    """A request that is signed as it is."""
    request = _request(**changes)
    names = changes.get("signed", ";".join(sorted(EXAMPLE_HEADERS))).split(";")
    return _request(**changes, signature=sign(string_to_sign(request, names), secret))


@pytest.fixture
def verifier():
    return Verifier({EXAMPLE_KEY: EXAMPLE_SECRET})


def test_the_published_example_gives_the_published_signature(verifier):
    text = string_to_sign(_request(), sorted(EXAMPLE_HEADERS))
    assert text == f"{ALGORITHM}\n{EXAMPLE_HASH}"
    assert sign(text, EXAMPLE_SECRET) == EXAMPLE_SIGNATURE
    assert verifier.verify(_request(), NOW) == EXAMPLE_KEY


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"headers": {**EXAMPLE_HEADERS, "authorization": ""}}, "MissingAccessKeyId", 400),
        ({"headers": {**EXAMPLE_HEADERS, "authorization": "Basic abc"}}, "IncompleteSignature", 400),
        ({"key": "LTAI5tNobody"}, "InvalidAccessKeyId.NotFound", 404),
        ({"signature": EXAMPLE_SIGNATURE.replace("0", "1")}, "SignatureDoesNotMatch", 400),
        ({"signature": ""}, "SignatureDoesNotMatch", 400),
        ({"body": b"x"}, "SignatureDoesNotMatch", 400),
        ({"method": "GET"}, "SignatureDoesNotMatch", 400),
        ({"path": "/x"}, "SignatureDoesNotMatch", 400),
        ({"query": (*EXAMPLE_QUERY, ("Amount", "2"))}, "SignatureDoesNotMatch", 400),
        ({"query": EXAMPLE_QUERY[:1]}, "SignatureDoesNotMatch", 400),
        ({"headers": {**EXAMPLE_HEADERS, "x-acs-action": "DeleteInstance"}}, "SignatureDoesNotMatch", 400),
        ({"headers": {**EXAMPLE_HEADERS, "x-acs-content-sha256": "0" * 64}}, "SignatureDoesNotMatch", 400),
        ({"headers": {**EXAMPLE_HEADERS, "x-acs-security-token": "t"}}, "IncompleteSignature", 400),
        ({"headers": {**EXAMPLE_HEADERS, "content-type": "text/plain"}}, "IncompleteSignature", 400),
        ({"signed": "host;x-acs-action"}, "IncompleteSignature", 400),
        ({"signed": ";".join([*sorted(EXAMPLE_HEADERS), "x-acs-zone"])}, "IncompleteSignature", 400),
        ({"headers": {**EXAMPLE_HEADERS, "x-acs-date": "yesterday"}}, "InvalidTimeStamp.Format", 400),
        ({"headers": {**EXAMPLE_HEADERS, "x-acs-date": "2023-02-31T10:22:32Z"}}, "InvalidTimeStamp.Format", 400),
    ],
)
def test_anything_else_than_was_signed_is_refused(verifier, changes, code, status):
    with pytest.raises(Refusal) as refused:
        verifier.verify(_request(**changes), NOW)
    assert (refused.value.code, refused.value.status) == (code, status)
    assert EXAMPLE_SECRET not in refused.value.message


def test_another_secret_is_refused(verifier):
    with pytest.raises(Refusal, match="SignatureDoesNotMatch"):
        verifier.verify(_signed(secret="another"), NOW)


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_date_may_be_a_quarter_of_an_hour_off_and_no_more(verifier, seconds):
    now = NOW + timedelta(seconds=seconds)
    assert verifier.verify(_request(), now) == EXAMPLE_KEY
    with pytest.raises(Refusal, match=r"InvalidTimeStamp\.Expired"):
        verifier.verify(_request(), now + timedelta(seconds=1 if seconds > 0 else -1))


@pytest.mark.parametrize("minutes", [0, 15])
def test_a_request_is_taken_once(verifier, minutes):
    verifier.verify(_request(), NOW - timedelta(minutes=15))
    with pytest.raises(Refusal, match="SignatureNonceUsed"):
        verifier.verify(_request(), NOW + timedelta(minutes=minutes))


def test_a_refused_request_uses_up_no_nonce(verifier):
    with pytest.raises(Refusal):
        verifier.verify(_request(body=b"x"), NOW)
    verifier.verify(_request(), NOW)


def test_nonces_stay_bounded_and_recent_ones_known(verifier, monkeypatch):
    monkeypatch.setattr("sandbox.sms_signature.NONCES", 10)
    requests = [_signed(headers={**EXAMPLE_HEADERS, "x-acs-signature-nonce": str(number)}) for number in range(25)]
    for request in requests:
        verifier.verify(request, NOW)
    for request in requests[-11:]:
        with pytest.raises(Refusal, match="SignatureNonceUsed"):
            verifier.verify(request, NOW)
    assert len(verifier._nonces) + len(verifier._older) <= 20


@pytest.mark.parametrize("value", ["a b", "a+b", "~*'()!", "阿里云", "", "a/b?c=d&e", "%41"])
def test_the_query_is_signed_decoded_and_encoded_anew(verifier, value):
    verifier.verify(_signed(query=(("b", "2"), ("a", value))), NOW)


def test_header_fields_are_signed_without_space_around_them(verifier):
    request = _request()
    padded = {name: [f"  {values[0]} "] for name, values in request.headers.items()}
    verifier.verify(Request(request.method, request.path, request.query, padded, request.body), NOW)
