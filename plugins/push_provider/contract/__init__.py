"""What every push task says, whoever hands it in: REST body, Kafka message, YAML file and, in part, a DAG run's conf.

A channel's own fields stand on :class:`PushTask` and lie in the channel's folder, so documents are read by
:mod:`push_provider.channels.reading`: the only way in. It turns pydantic's errors into
:class:`~push_provider.exceptions.InvalidTask`, which names each field and what would be right.
"""

from push_provider.contract.ids import (
    CODE_PATTERN,
    DAG_PREFIX,
    SEND_TASK_ID,
    dag_id,
    is_of_execution,
    is_test,
    run_id_of,
)
from push_provider.contract.outlook import Outlook, parse_outlook
from push_provider.contract.recipients import Recipient
from push_provider.contract.task import PushTask, Trigger
from push_provider.contract.timing import At, Cron, Daily, Hourly, Now, Schedule

__all__ = [
    "CODE_PATTERN",
    "DAG_PREFIX",
    "SEND_TASK_ID",
    "At",
    "Cron",
    "Daily",
    "Hourly",
    "Now",
    "Outlook",
    "PushTask",
    "Recipient",
    "Schedule",
    "Trigger",
    "dag_id",
    "is_of_execution",
    "is_test",
    "parse_outlook",
    "run_id_of",
]
