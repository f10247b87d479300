"""Calls of Aliyun Mobile Push, through its own SDK; :mod:`~push_provider.connections.aliyun` has their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from push_provider.connections.aliyun import OK, Answer, bound, call, sdk_config
from push_provider.connections.unanswered import NoAnswer

if TYPE_CHECKING:
    from alibabacloud_push20160801.client import Client

    from push_provider.channels.app.aliyun_config import AliyunAppConfig

BATCH = 100
"""Messages of their own in a call of MassPushV2 (https://help.aliyun.com/document_detail/2249915.html)."""


class AliyunAppClient:
    """Aliyun Mobile Push for one app. Several threads may use it.

    :param config: the app.
    """

    def __init__(self, config: AliyunAppConfig) -> None:
        from alibabacloud_push20160801.client import Client

        self.config = config
        self._client: Client = Client(sdk_config(config))
        bound(config, str(self._client._endpoint))  # noqa: SLF001

    def push(self, tasks: Sequence[Mapping[str, Any]], token: str) -> Answer:
        """MassPushV2 of up to :data:`BATCH` messages; the body has ``message_ids``, in their order.

        :param tasks: each a PushTask (https://help.aliyun.com/document_detail/2979224.html).
        :param token: the ``IdempotentToken``, a UUID: within 15 minutes a call with the same pushes nothing, and gets
            the answer of the first that did.
        """
        from alibabacloud_push20160801.models import MassPushV2Request, PushTask

        request = MassPushV2Request(
            app_key=self.config.app_key,
            idempotent_token=token,
            push_tasks=[PushTask().from_map(dict(task)) for task in tasks],
        )
        answer = self._call(self._client.mass_push_v2with_options, request)
        if answer.ok and len(answer.body.message_ids or ()) != len(tasks):
            raise NoAnswer("protocol", "Aliyun's answer has another number of messages than the call")
        return answer

    def apps(self) -> Answer:
        """ListSummaryApps; the body has ``summary_app_infos``."""
        return self._call(lambda _, options: self._client.list_summary_apps_with_options(options), None)

    def _call(self, function: Callable[..., Any], request: Any) -> Answer:
        """Make a call.

        :raises NotSent: it never reached Aliyun.
        :raises NoAnswer: it may have been carried out.
        :raises ConfigurationError: the endpoint is not who it says it is.
        """
        body = call(self.config, function, request)
        if isinstance(body, Answer):
            return body
        if body is None or not body.request_id:
            raise NoAnswer("protocol", "Aliyun's answer has no RequestId")
        return Answer(OK, "", body)
