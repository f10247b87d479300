"""How Aliyun's API says no.

Two kinds, as the service has them. What its gateway refuses (signature, unknown action, a parameter that
is missing) is an HTTP error, which the SDK raises. What the SMS service itself refuses (``isv.…``,
``isp.…``) is an answer with HTTP 200 whose ``Code`` is not ``OK``.
"""

from __future__ import annotations

_RECOMMEND = "https://api.aliyun.com/troubleshoot?q={code}&product=Dysmsapi&requestId={request}"


class Refusal(Exception):
    """A call that is answered with an error; not an error of the sandbox.

    :param code: as ``Code`` in the answer: ``isv.MOBILE_NUMBER_ILLEGAL``, ``SignatureDoesNotMatch``.
    :param status: the HTTP status it comes with.
    """

    def __init__(self, code: str, message: str, *, status: int = 200) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{code}: {message}")

    def as_json(self, request_id: str, host: str) -> dict[str, str]:
        """The answer's body.

        :param request_id: as in every answer.
        :param host: the name under which the client called, which errors of the gateway repeat.
        """
        answer = {"RequestId": request_id, "Code": self.code, "Message": self.message}
        if self.status >= 400:
            answer["HostId"] = host
            answer["Recommend"] = _RECOMMEND.format(code=self.code, request=request_id)
        return answer


def missing(parameter: str) -> Refusal:
    """A mandatory parameter was not sent."""
    return Refusal(f"Missing{parameter}", f"{parameter} is mandatory for this action.", status=400)


def unknown_action() -> Refusal:
    """There is no such action, or not at this path or with this method."""
    return Refusal(
        "InvalidAction.NotFound", "Specified api is not found, please check your url and method.", status=404
    )
