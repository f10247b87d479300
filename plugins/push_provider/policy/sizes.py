"""How much one push task or trigger may bring along, over all doors but the command line."""

from __future__ import annotations

from typing import Any

from push_provider import settings, written
from push_provider.exceptions import FieldError, InvalidTask


def too_many_recipients(recipients: Any) -> FieldError | None:
    """What is wrong with a list that names more than ``[push] max_recipients``; before each of them is looked at.

    :param recipients: as they came; what is no list is somebody else's to refuse.
    """
    limit = settings.max_recipients()
    if not limit or not isinstance(recipients, list | tuple) or len(recipients) <= limit:
        return None
    text = f"are {len(recipients)}; at most {limit} fit into one task ([push] max_recipients)"
    return FieldError("recipients", text)


def check_conf(conf: Any) -> None:
    """Hold what came with a DAG run against the limits of the REST API, which Airflow's own API does not have.

    :param conf: of the run.
    :raises InvalidTask: it names too many recipients, or is larger than ``[push] max_body_size``.
    """
    if not conf:
        return
    if isinstance(conf, dict) and (fault := too_many_recipients(conf.get("recipients"))):
        raise InvalidTask([fault], where="conf")
    size, limit = len(written.dumps(conf).encode()), settings.max_body_size()
    if size > limit:
        raise InvalidTask(
            [FieldError("recipients", f"and variables are {size} bytes; at most {limit} ([push] max_body_size)")],
            where="conf",
        )
