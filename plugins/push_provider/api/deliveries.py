"""Deliveries: who got what, as pages or as one CSV."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from push_provider.api import csv_rows, openapi, places, second_server
from push_provider.api.downloads import Download
from push_provider.api.guards import RUN, CallerDep, Right, needs
from push_provider.api.models import DeliveryAnswer, DeliveryPage, Id, delivery_answer
from push_provider.api.paging import RangeDep, page
from push_provider.api.parameters import CodeFilter, Flag, Moment, Text
from push_provider.ledger import deliveries
from push_provider.ledger.engine import get_engine
from push_provider.ledger.tables import DeliveryState

router = APIRouter(tags=["Deliveries"])


@router.get(
    "/deliveries",
    response_model=DeliveryPage,
    responses={
        200: {
            "description": "A page; or, with `Accept: text/csv` or `excel=true`, all that match as one CSV (RFC 4180), "
            "streamed, without regard to limit and offset. A cell that a spreadsheet would take for a formula begins "
            "with '",
            "content": {csv_rows.TYPE: {"schema": {"type": "string"}}},
        },
        **openapi.errors(401, 403, 422, 429),
    },
)
@needs(Right.READ)
def list_deliveries(
    request: Request,
    caller: CallerDep,
    wanted: RangeDep,
    task: CodeFilter = None,
    execution: Annotated[Id | None, Query(ge=1, lt=2**63)] = None,
    recipient: Annotated[Text | None, Query(description="Exactly this address")] = None,
    search: Annotated[
        Text | None,
        Query(
            min_length=3,
            description="Text in the address, in capitals or not, that no more than 1,000 addresses have in them",
            examples=["lilei@"],
        ),
    ] = None,
    state: DeliveryState | None = None,
    begun_from: Annotated[
        Moment | None, Query(alias="from", description="Of executions begun at this moment or later")
    ] = None,
    begun_to: Annotated[Moment | None, Query(alias="to", description="Of executions begun before this moment")] = None,
    excel: Annotated[
        Flag,
        Query(
            description="As a CSV for Excel, whatever `Accept` says: it begins with a byte order mark, so that Excel "
            'reads it as UTF-8, and a number that Excel would show otherwise stands there as `="+85290001234"`'
        ),
    ] = False,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Any:
    """Deliveries of push tasks that the caller may see, newest first: who got what, and why not."""
    caller.require_any_read(RUN)
    whole = excel or _wants_csv(accept)
    if whole and (passed_on := second_server.download(request)):
        return passed_on
    filters: dict[str, Any] = {
        "codes": caller.readable(),
        "task": task,
        "execution": execution,
        "recipient": recipient,
        "search": search,
        "state": state,
        "begun_from": begun_from,
        "begun_to": begun_to,
    }
    engine = get_engine()
    if whole:
        return Download(
            _Export(deliveries.Stream(engine, **filters), excel=excel),
            places.exports.place(caller.id),
            media_type=f"{csv_rows.TYPE}; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="deliveries.csv"'},
        )
    found = deliveries.find(engine, limit=wanted.limit, offset=wanted.offset, **filters)
    items = [delivery_answer(row) for row in found]
    return page(DeliveryPage, wanted, items, lambda cap: deliveries.count(engine, cap=cap, **filters))


def _wants_csv(accept: str) -> bool:
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return csv_rows.TYPE in kinds and "application/json" not in kinds


class _Export:
    """Deliveries as pieces of a CSV."""

    def __init__(self, rows: deliveries.Stream, *, excel: bool) -> None:
        self._rows = rows
        self._excel = excel
        self._columns = list(DeliveryAnswer.model_fields)
        self._head = (csv_rows.BOM if excel else "") + csv_rows.lines([self._columns])
        self.cancel = rows.cancel
        self.close = rows.close

    def read(self) -> bytes | None:
        """The next lines, under the names of the columns."""
        head, self._head = self._head, ""
        answers = (delivery_answer(row).model_dump(mode="json") for row in self._rows.read())
        rows = ([answer[name] for name in self._columns] for answer in answers)
        return (head + csv_rows.lines(rows, excel=self._excel)).encode() or None
