"""PushTask, the one contract: REST body, Kafka message, YAML file and, in part, the DAG's params.

A push task says what to send, to whom, through which sender configuration, when and how often.
:func:`parse` and :func:`parse_trigger` are the only ways in: they turn pydantic's errors into
:class:`~push_provider.exceptions.InvalidTask`, which names each field and what would be right.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from push_provider import strict_json, written
from push_provider.addresses import email_address, phone_number, shown
from push_provider.exceptions import MOST_ERRORS, FieldError, FieldErrors, InvalidTask

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema, ErrorDetails

CODE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ATTACHMENTS_LIMIT = 10 * 1024 * 1024
"""Bytes of all attachments of a task together, before they are encoded for the mail."""
CONTENT_LIMIT = 1024 * 1024
"""Characters of inline content."""
VARIABLES_LIMIT = 1024 * 1024
"""Characters of one set of variables as JSON."""
DEPTH_LIMIT = 32
"""Levels of lists and mappings in a document."""
VALUES_LIMIT = 5_000_000
"""Values in a document, each mention of an alias of YAML counted."""

DAG_PREFIX = "push__"
_OF_EXECUTION = re.compile(r"[a-z]+__[0-9]+")
"""Airflow's own ids of runs have a date, with more than digits."""


SEND_TASK_ID = "send"
"""The Airflow task of every push task's DAG that sends."""


def dag_id(code: str) -> str:
    """The DAG of a push task."""
    return DAG_PREFIX + code


def run_id_of(source: str, execution: int) -> str:
    """The DAG run of an execution that was planned before it: it follows, so nobody can make a second one."""
    return f"{source}__{execution}"


def is_of_execution(run_id: str) -> bool:
    """Whether a DAG run was made for an execution that was planned before it, as :func:`run_id_of` names those."""
    return bool(_OF_EXECUTION.fullmatch(run_id))


class _Broken(ValueError):
    """Carries several field errors at once through pydantic."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = FieldErrors(errors)
        super().__init__(self.errors.told())


# --- values -----------------------------------------------------------------------------------------


def _timezone(name: str) -> str:
    try:
        # What these name differs from machine to machine, or is not the time of day.
        if name.split("/")[0] in ("posix", "right", "posixrules", "localtime", "Factory"):
            raise ValueError(name)
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{shown(name)} is not a time zone; write one like 'Asia/Shanghai' or 'UTC'") from error
    return name


def _one_line(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise ValueError("must be one line: a line break would start a new header field")
    return text


def _visible(text: str, info: ValidationInfo) -> str:
    """Refuse characters that steer a terminal or turn what is read around: names stand in lists, logs and mails."""
    if not _is_stored(info) and (found := _UNSEEN.search(text)):
        raise ValueError(f"must not hold control characters; take out {found[0]!a}")
    return text


def _name(text: str, info: ValidationInfo) -> str:
    """A name: one line, and all of it to be seen. What was stored before that was asked for stays as it is."""
    return text if _is_stored(info) else _visible(_one_line(text), info)


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL and C1 (ECMA-48), and what separates lines or turns directions (Unicode, UAX 9)."""


def _include_path(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or not path.parts:
        raise ValueError(f"{shown(text)} must be a path below include/, without '..'")
    return str(path)


def moment(value: Any) -> datetime:
    """Read a moment of RFC 3339.

    :returns: as RFC 3339 can write it: with an offset of whole minutes, or none.
    :raises ValueError: it is none; the text says what would be right.
    """
    # Numbers, which pydantic takes for seconds since 1970, and dates without a time are mistakes here.
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise ValueError(f"{shown(value)} does not exist; write a moment like {_MOMENT}") from error
    if not isinstance(value, datetime):
        raise ValueError(f"must be a moment (RFC 3339) like {_MOMENT}")
    if not 1970 <= value.year < 9000:
        raise ValueError(f"lies in the year {value.year}; write a moment from 1970 on, before 9000")
    offset = value.utcoffset()
    if offset is not None and offset % timedelta(minutes=1):  # Liberia's was 44 minutes and 30 seconds, until 1972
        return value.astimezone(UTC)
    # A zone does not get into JSON. And while a clock is changed, a moment with a zone equals none with an offset
    # (docs.python.org/3/library/datetime.html, "inter-zone comparison"; PEP 495).
    return value.replace(tzinfo=None if offset is None else timezone(offset), fold=0)


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.]\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_MOMENT = "'2026-07-01T09:00:00+08:00'"


def _seconds(value: Any) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _A_DAY.total_seconds():
        return timedelta(seconds=value)
    if isinstance(value, timedelta) and timedelta(0) <= value <= _A_DAY:
        return value
    raise ValueError("must be a number of seconds from 0 to 86400, like 60")


_A_DAY = timedelta(days=1)


def _as_seconds(value: timedelta) -> int | float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _cron(text: str) -> str:
    from croniter import croniter  # Airflow's own cron library, so that both agree

    fields = text.split()
    # It also knows R and H for a time of its own choice, another one each time it is asked.
    chance = any(part[:1] in "RrHh" for field in fields for part in field.split(","))
    if len(fields) != 5 or len(text) > 250 or chance or not croniter.is_valid(" ".join(fields)):
        raise ValueError(
            f"{shown(text)} is not a cron expression; write five fields: minute hour day month weekday, "
            "like '30 9 * * mon-fri'"
        )
    return " ".join(fields)


def _variables(value: Any) -> Any:
    if isinstance(value, dict) and len(written.dumps(value)) > VARIABLES_LIMIT:
        raise ValueError(f"must have at most {VARIABLES_LIMIT} characters as JSON; send less, or an attachment")
    return value


# Any: pydantic's JsonValue would make plain floats of numbers that are shown as they were written. What they hold is
# looked at by _storable.
Variables = Annotated[dict[str, Any], AfterValidator(_variables)]
Number = Annotated[int, Strict()]
Line = Annotated[str, AfterValidator(_one_line)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_name)]
ProviderName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_name)]
"""What a provider calls something of the sender's there."""
Timezone = Annotated[str, AfterValidator(_timezone)]
IncludePath = Annotated[str, AfterValidator(_include_path), AfterValidator(_visible)]


class _Contract(BaseModel):
    """Unknown fields are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _storable(data: Any) -> Any:
    """Refuse what JSON or the ledger cannot hold, anywhere in a document, before it is looked at closer.

    PostgreSQL's ``jsonb`` takes no NUL and no lone surrogate in a text, and no NaN or Infinity
    (postgresql.org/docs/current/datatype-json.html).
    """
    errors: list[FieldError] = []
    # Each with the way to it, innermost first: most are never asked for it.
    waiting: list[tuple[Any, _Way, int]] = [(data, None, 0)]
    values = broken = 0
    while waiting:
        value, way, depth = waiting.pop()
        values += 1
        if isinstance(value, str):
            message = _unstorable_text(value)
        elif isinstance(value, dict | list) and depth >= DEPTH_LIMIT:
            message = f"is nested too deeply; at most {DEPTH_LIMIT} levels fit"
        elif values + len(waiting) > VALUES_LIMIT:
            raise _Broken([FieldError("", f"holds too many values; at most {VALUES_LIMIT} fit")])
        elif isinstance(value, dict) and way and len(value) > _MOST_FIELDS and "variables" not in _loc(way):
            message = f"has {len(value)} fields; only variables may have more than {_MOST_FIELDS} names"
        elif isinstance(value, dict):
            message = None
            for key, item in reversed(value.items()):
                if isinstance(key, str) and not _unstorable_text(key):
                    waiting.append((item, (key, way), depth + 1))
                else:
                    message = f"has the name {shown(key)}; names must be text, without NUL or lone surrogates"
        elif isinstance(value, list):
            message = None
            waiting.extend((item, (index, way), depth + 1) for index, item in reversed([*enumerate(value)]))
        else:
            message = _unstorable_number(value)
            if message is None and way and not isinstance(value, int | float | None) and "variables" in _loc(way):
                message = "must be text, a number, true, false, null, a list or a mapping; put a date in quotes"
        if message:
            broken += 1
            if broken <= MOST_ERRORS:
                errors.append(FieldError(_path(_loc(way)), message))
    if errors:
        raise _Broken(FieldErrors(errors, broken - len(errors)))
    return data


_MOST_FIELDS = 100
"""Names in a mapping that has fields: more than any has, so that not each of a million is refused by itself."""
_Way = tuple[int | str, "_Way"] | None


def _loc(way: _Way) -> tuple[int | str, ...]:
    loc: list[int | str] = []
    while way:
        part, way = way
        loc.insert(0, part)
    return tuple(loc)


def _unstorable_text(text: str) -> str | None:
    if "\0" in text:
        return "must not hold a NUL character; take it out"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "must not hold half a surrogate pair (\\ud800 to \\udfff alone); take it out"
    return None


def _unstorable_number(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value) and not isinstance(value, written.Written):
        return "must be a finite number, not NaN or Infinity"
    # Beyond the range of a double; readers of JSON differ in what they make of such a number.
    if (isinstance(value, int) and value.bit_length() > 1023) or (isinstance(value, float) and math.isinf(value)):
        return "must be a number of at most 300 digits; put a longer one in quotes"
    return None


# --- when -------------------------------------------------------------------------------------------


def _with_tag(name: str) -> ConfigDict:
    """A variant of a union is told by its tag, which has a default only where the whole variant is one."""
    return ConfigDict(json_schema_extra={"required": [name]})


class Now(_Contract):
    """At once, as soon as the task exists."""

    model_config = _with_tag("kind")

    kind: Literal["now"] = "now"


class Manual(_Contract):
    """Only when somebody triggers it: in Airflow's UI, by REST, by Kafka, with ``airflow push trigger``."""

    kind: Literal["manual"]


class _Timed(_Contract):
    timezone: Timezone | None = None
    """IANA name; left out, Airflow's ``[core] default_timezone`` holds."""


class At(_Timed):
    """Once, at a moment. RFC 3339; without an offset, ``timezone`` says which clock is meant."""

    kind: Literal["at"]
    at: Annotated[
        datetime,
        BeforeValidator(moment),
        # Not of format date-time, which has an offset in any case.
        WithJsonSchema({"type": "string", "pattern": f"^{_RFC_3339.pattern}$", "examples": [_MOMENT.strip("'")]}),
    ]


class Hourly(_Timed):
    """Every hour at this minute, from the next hour on."""

    kind: Literal["hourly"]
    minute: Number = Field(ge=0, le=59)


class Daily(_Timed):
    """Every day at this time, from tomorrow on."""

    kind: Literal["daily"]
    time: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")


class Cron(_Timed):
    """By a cron expression of five fields."""

    kind: Literal["cron"]
    cron: Annotated[str, AfterValidator(_cron)]


Schedule = Annotated[Now | At | Hourly | Daily | Cron | Manual, Field(discriminator="kind")]


class Once(_Contract):
    """One execution, and the task is finished."""

    model_config = _with_tag("type")

    type: Literal["once"] = "once"

    @property
    def limit(self) -> int | None:
        """How many executions may begin."""
        return 1


class Loop(_Contract):
    """Executions until ``max_executions`` have begun; without it, until somebody cancels the task."""

    type: Literal["loop"]
    max_executions: Number | None = Field(default=None, ge=1, le=2_000_000_000)

    @property
    def limit(self) -> int | None:
        """How many executions may begin; None for no end."""
        return self.max_executions


Execution = Annotated[Once | Loop, Field(discriminator="type")]


# --- to whom, and what --------------------------------------------------------------------------------


class Recipient(_Contract):
    """One address and the variables that only its own message sees."""

    to: str = Field(min_length=1, max_length=320)
    variables: Variables = {}


def _is_stored(info: ValidationInfo) -> bool:
    return bool((info.context or {}).get("stored"))


def _recipient(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class _AsSchema:
    """What JSON may hold where a validator takes more than the type says."""

    def __init__(self, *others: dict[str, Any]) -> None:
        self._others = others

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [*self._others, handler(core_schema)]}


def _by_hundreds(values: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Read a long list in pieces, so that of a list in which all is wrong no error is kept but the first ones."""
    if not isinstance(values, list) or len(values) <= _PIECE:
        return handler(values)
    kept: list[Any] = []
    broken = _BrokenItems()
    for start in range(0, len(values), _PIECE):
        try:
            kept += handler(values[start : start + _PIECE])
        except ValidationError as error:
            details = [
                {**detail, "loc": (info.field_name, start + int(detail["loc"][0]), *detail["loc"][1:])}
                for detail in _details(error)
            ]
            field = len(str(info.field_name))
            found = (FieldError(path[field:], message) for path, message in _field_errors(details, PushTask))
            broken.add(found, error.error_count(), start + _PIECE)
    broken.refuse()
    return kept


class _BrokenItems:
    """What is wrong with the items of a list: the first faults, and an end if there are too many."""

    def __init__(self) -> None:
        self._first: list[FieldError] = []
        self._found = 0

    def add(self, errors: Iterable[FieldError], count: int, looked_at: int) -> None:
        """Take note of some.

        :param errors: asked for one after the other while they are wanted.
        :param count: how many they are.
        :param looked_at: items of the list so far.
        :raises _Broken: they are so many that the list is not what it is taken for.
        """
        self._first += islice(errors, MOST_ERRORS - len(self._first))
        self._found += count
        if self._found >= _ENOUGH_BROKEN:
            said = f"have {self._found} faults among the first {looked_at}; what follows has not been looked at"
            self._first.insert(0, FieldError("", said))
            self._found += 1
            self.refuse()

    def refuse(self) -> None:
        """Raise them, if there are any."""
        if self._first:
            raise _Broken(FieldErrors(self._first[:MOST_ERRORS], self._found - len(self._first[:MOST_ERRORS])))


_PIECE = 100
_ENOUGH_BROKEN = 1000
"""Faults after which the rest of a list is not looked at: the list is not what it is taken for."""

Recipients = Annotated[
    list[
        Annotated[
            Recipient,
            BeforeValidator(_recipient),
            _AsSchema({"type": "string", "minLength": 1, "maxLength": 320, "description": "An address"}),
        ]
    ],
    WrapValidator(_by_hundreds),
]

_ADDRESS: Mapping[str, Callable[[str], str]] = {"email": email_address, "sms": phone_number}
"""How each channel checks an address."""


def _normalise(recipients: list[Recipient], channel: str | None) -> list[Recipient]:
    """Bring every address into its channel's normal form, and drop those that say the same twice."""
    check = _ADDRESS.get(channel or "")
    if check is None:  # the channel itself is wrong, and is reported
        return recipients
    kept: dict[tuple[str, str], Recipient] = {}
    broken = _BrokenItems()
    for index, recipient in enumerate(recipients):
        try:
            to = check(recipient.to)
        except ValueError as error:
            broken.add([FieldError(f"[{index}].to", str(error))], 1, index + 1)
            continue
        # The same address with other variables is another message: two orders of one customer.
        key = (to, written.dumps(recipient.variables, sort_keys=True) if recipient.variables else "")
        if key not in kept:
            kept[key] = Recipient.model_construct(to=to, variables=recipient.variables)
    broken.refuse()
    return list(kept.values())


class InlineAttachment(_Contract):
    """A file carried in the task itself."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_name)]
    content_base64: str

    @field_validator("content_base64")
    @classmethod
    def _decodes(cls, text: str) -> str:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("is not base64 (RFC 4648, with padding, without line breaks)") from error
        return text

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return base64.b64decode(self.content_base64)

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return len(self.content_base64) // 4 * 3 - self.content_base64[-2:].count("=")


Attachment = Annotated[
    Annotated[IncludePath, Tag("path")] | Annotated[InlineAttachment, Tag("inline")],
    Discriminator(lambda value: "path" if isinstance(value, str) else "inline"),
]
"""A path below include/, or the file itself."""


def _code() -> str:
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


class PushTask(_Contract):
    """What to send, to whom, through which sender configuration, when and how often."""

    code: str = Field(default_factory=_code, pattern=CODE_PATTERN)
    name: Name
    channel: Literal["email", "sms"]
    config: Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(_name)] | None = None
    execution: Execution = Once()
    schedule: Schedule = Now()
    missed: Literal["skip", "latest", "all"] | None = None
    max_active_runs: Number = Field(default=1, ge=1, le=1000)
    recipients: Recipients = []
    subject: Line | None = Field(default=None, max_length=1000)
    content: str | None = Field(default=None, max_length=CONTENT_LIMIT)
    content_type: Literal["html", "markdown", "text"] = "html"
    template: IncludePath | None = None
    template_code: ProviderName | None = None
    sign_name: ProviderName | None = None
    variables: Variables = {}
    attachments: Annotated[list[Attachment], WrapValidator(_by_hundreds)] = []
    on_unknown: Literal["resend", "hold"] | None = None
    app: Name | None = None
    owner: Name | None = None
    retries: Number = Field(default=3, ge=0, le=100)
    retry_delay: Annotated[
        timedelta,
        BeforeValidator(_seconds),
        PlainSerializer(_as_seconds, when_used="json"),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": 86400}),
    ] = Field(default=timedelta(seconds=60), json_schema_extra={"default": 60})
    """In JSON and YAML a number of seconds."""

    @property
    def dag_id(self) -> str:
        """The task's DAG."""
        return dag_id(self.code)

    @property
    def missed_policy(self) -> Literal["skip", "latest", "all"]:
        """What to do with times that passed while nothing ran.

        Left out, a loop skips them; a message due at one moment is sent late rather than never.
        """
        return self.missed or ("latest" if self.schedule.kind in ("now", "at") else "skip")

    def spec(self) -> dict[str, Any]:
        """The task as JSON, as the ledger keeps it: what :func:`parse` reads back to an equal task."""
        # Variables as they are, for pydantic would make plain floats of their numbers.
        spec = self.model_dump(mode="json", exclude={"recipients", "variables"})
        recipients = [{"to": recipient.to, "variables": recipient.variables} for recipient in self.recipients]
        return {**spec, "recipients": recipients, "variables": self.variables}

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, data: Any) -> Any:
        return _with_few_unknown(cls, _storable(data))

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, recipients: list[Recipient], info: ValidationInfo) -> list[Recipient]:
        if _is_stored(info):  # checked when it came in
            return recipients
        return _normalise(recipients, info.data.get("channel"))

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Self:
        if _is_stored(info):
            return self
        errors: list[FieldError] = []
        if not self.recipients and self.schedule.kind != "manual":
            errors.append(
                FieldError("recipients", "name at least one; only a task with schedule kind 'manual' may have none")
            )
        errors += _errors_of_email(self) if self.channel == "email" else _errors_of_sms(self)
        if errors:
            raise _Broken(errors)
        return self


def _errors_of_email(task: PushTask) -> Iterator[FieldError]:
    """What an email must have, and must not."""
    if not task.subject or not task.subject.strip():
        yield FieldError("subject", "an email needs one")
    if (task.content is None) == (task.template is None):
        yield FieldError("content", "give either content or template (a file of include/templates)")
    inline = sum(a.size for a in task.attachments if isinstance(a, InlineAttachment))
    if inline > ATTACHMENTS_LIMIT:
        yield FieldError("attachments", f"are {inline} bytes in all; at most {ATTACHMENTS_LIMIT} fit")
    for field in ("template_code", "sign_name"):
        if getattr(task, field) is not None:
            yield FieldError(field, "belongs to channel sms; leave it out")


def _errors_of_sms(task: PushTask) -> Iterator[FieldError]:
    """What an SMS must have, and must not: its text is the provider's approved template."""
    try:
        if task.content is not None:
            template_parameters(task.content)
    except ValueError as error:
        yield FieldError("content", str(error))
    if task.content_type != "html":
        yield FieldError("content_type", "belongs to channel email; leave it out")
    for field, value in (("subject", task.subject), ("template", task.template), ("attachments", task.attachments)):
        if value:
            hint = "; name the provider's template in template_code" if field == "template" else ""
            yield FieldError(field, f"belongs to channel email; leave it out{hint}")


def template_parameters(content: str) -> dict[str, str]:
    """The content of an SMS: the parameters of the provider's template by their names.

    Aliyun takes texts only (``isv.INVALID_JSON_PARAM``, https://help.aliyun.com/document_detail/101346.html).

    :raises ValueError: it is not a JSON object of texts; says what is wrong.
    """
    like = """an SMS has the parameters of its template, a JSON object of texts like {"name": "{{ name }}"}"""

    try:
        parameters = strict_json.loads(content)
    except ValueError as error:
        raise ValueError(f"{error}; {like}") from None
    if not isinstance(parameters, dict):
        raise ValueError(f"is no JSON object; {like}")
    for name, value in parameters.items():
        if not isinstance(value, str):
            raise ValueError(f"{shown(name)} must be a text, in quotes; {like}")
        if problem := _unstorable_text(name + value):
            raise ValueError(f"{shown(name)} {problem}")
    return parameters


class Trigger(_Contract):
    """What a trigger may change for one execution: ``conf`` of a DAG run, body of POST …/trigger."""

    recipients: Recipients | None = None
    variables: Variables = {}
    execution: Number | None = Field(default=None, ge=1)
    """An execution that was planned before its DAG run existed."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, data: Any) -> Any:
        return _with_few_unknown(cls, _storable(data))

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, recipients: list[Recipient] | None, info: ValidationInfo) -> list[Recipient] | None:
        return None if recipients is None else _normalise(recipients, (info.context or {}).get("channel"))


# --- reading ------------------------------------------------------------------------------------------


def parse(data: Any, *, where: str | None = None) -> PushTask:
    """Read a push task.

    :param data: a mapping, as JSON or YAML gives it.
    :param where: what is read, for the error's text.
    :raises InvalidTask: names every broken field.
    """
    try:
        return PushTask.model_validate(data)
    except ValidationError as error:
        raise InvalidTask(_told(error, PushTask), where=where) from None


def parse_stored(spec: Mapping[str, Any]) -> PushTask:
    """Read a task back from the ledger, where its recipients or content may be kept apart from the rest.

    :raises InvalidTask: another version stored what this one does not understand.
    """
    try:
        return PushTask.model_validate(dict(spec), context={"stored": True})
    except ValidationError as error:
        raise InvalidTask(_told(error, PushTask), where="stored push task") from None


def parse_trigger(data: Any, *, channel: str, where: str | None = None) -> Trigger:
    """Read what a trigger says for one execution of a task of ``channel``.

    :param data: a mapping, or None for nothing.
    :raises InvalidTask: names every broken field.
    """
    try:
        return Trigger.model_validate({} if data is None else data, context={"channel": channel})
    except ValidationError as error:
        raise InvalidTask(_told(error, Trigger), where=where) from None


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)


def _told(error: ValidationError, model: type[BaseModel]) -> FieldErrors:
    details = _details(error)
    first = FieldErrors(islice(_field_errors(details, model), MOST_ERRORS))
    causes = (detail.get("ctx", {}).get("error") for detail in details)
    found = sum(len(cause.errors) + cause.errors.more if isinstance(cause, _Broken) else 1 for cause in causes)
    return FieldErrors(first, found - len(first))


def _field_errors(details: Iterable[Mapping[str, Any]], model: type[BaseModel]) -> Iterator[FieldError]:
    listed: set[type[BaseModel]] = set()
    for detail in details:
        loc, kind = detail["loc"], detail["type"]
        context = detail.get("ctx", {})
        cause = context.get("error")
        field = _path(loc)
        if isinstance(cause, _Broken):
            for inner in cause.errors:
                yield FieldError(_below(field, inner.field), inner.message)
        elif kind == "extra_forbidden":
            yield FieldError(field, _not_a_field(str(loc[-1]), _model_at(loc[:-1], model), listed))
        elif kind == "union_tag_invalid":
            given, known = shown(context["tag"]), context["expected_tags"].replace("'", "")
            yield FieldError(f"{field}.{context['discriminator'][1:-1]}", f"{given} is none of {known}")
        elif kind == "union_tag_not_found":
            name = context["discriminator"][1:-1]
            known = ", ".join(_VARIANTS[str(loc[0])])
            yield FieldError(f"{field}.{name}", f"is required: one of {known}")
        elif cause is not None:
            yield FieldError(field, str(cause))
        else:
            yield FieldError(field, _WORDS_OF_FIELD.get((field, kind)) or _words(kind, context, field, detail["msg"]))


def _words(kind: str, context: Mapping[str, Any], field: str, message: str) -> str:
    """What would be right, in the words of somebody who has never heard of pydantic."""
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        kind = "mapping"
        if re.fullmatch(r"recipients\[\d+\]", field):
            return "must be an address, in quotes if it is a number, or {to, variables}"
        if re.fullmatch(r"attachments\[\d+\]", field):
            return "must be a path below include/, or {name, content_base64}"
    words = _WORDS.get(kind)
    if words is None:
        return message.replace("Input should be", "must be")
    return words.format_map(context)


_WORDS = {
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number, without quotes or leading zeros",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "mapping": "must be a mapping of fields",
    "missing": "is required",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be text; put it in quotes",
}

_A_TIME = 'must be a time of day from "00:00" to "23:59", like "09:00", in quotes'

_WORDS_OF_FIELD = {
    (
        "code",
        "string_pattern_mismatch",
    ): "takes lower-case letters, digits, '-' and '_', begins with a letter or digit, at most 64",
    ("schedule.time", "string_pattern_mismatch"): _A_TIME,
    ("schedule.time", "string_type"): _A_TIME,
    ("recipients", "list_type"): "must be a list of addresses",
    ("variables", "dict_type"): "must be a mapping of names to values",
}


_SCHEDULES: tuple[type[BaseModel], ...] = (Now, At, Hourly, Daily, Cron, Manual)
_VARIANTS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "schedule": {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in _SCHEDULES},
    "execution": {"once": Once, "loop": Loop},
}


def _model_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    """The model that holds the fields at ``loc``, which is pydantic's and names the variants of a union."""
    if not loc:
        return model
    if loc[0] == "recipients":
        return Recipient
    if loc[0] == "attachments":
        return InlineAttachment
    return _VARIANTS[str(loc[0])][str(loc[1])]


def _below(field: str, inner: str) -> str:
    """The path of an error that a validator of ``field`` found itself."""
    if field == "(document)":
        return inner or field
    return f"{field}{inner}" if inner.startswith("[") or not inner else f"{field}.{inner}"


def _path(loc: tuple[int | str, ...]) -> str:
    """``("recipients", 3, "to")`` as ``recipients[3].to``, without the tags that unions put in."""
    tagged = 2 if loc[:1] == ("attachments",) else 1
    tags = {"path", "inline", *_VARIANTS["schedule"], *_VARIANTS["execution"]}
    if len(loc) > tagged and loc[0] in ("schedule", "execution", "attachments") and loc[tagged] in tags:
        loc = loc[:tagged] + loc[tagged + 1 :]
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in loc)
    return "".join(parts).lstrip(".") or "(document)"


def _not_a_field(name: str, model: type[BaseModel], listed: set[type[BaseModel]]) -> str:
    """What is said of a field that a model has not.

    :param listed: models whose fields have been named; once is enough.
    """
    close = difflib.get_close_matches(name[:60], model.model_fields, n=1)
    if close:
        return f"is not a field here; did you mean {close[0]!r}?"
    if model in listed:
        return "is not a field here, either"
    listed.add(model)
    return f"is not a field here; known are: {', '.join(model.model_fields)}"


def _with_few_unknown(model: type[BaseModel], data: Any) -> Any:
    """Refuse a document of a hundred fields and more, before each that is none is refused by itself."""
    if isinstance(data, dict) and len(data) > _MOST_FIELDS:
        unknown = [name for name in data if name not in model.model_fields]
        listed: set[type[BaseModel]] = set()
        first = map(str, unknown[:MOST_ERRORS])
        errors = [FieldError(_path((name,)), _not_a_field(name, model, listed)) for name in first]
        raise _Broken(FieldErrors(errors, len(unknown) - len(errors)))
    return data
