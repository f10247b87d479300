"""What the form of a push task makes of lists of recipients, in the page's own modules."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import page_modules
import pytest

from push_provider import addresses

pytestmark = pytest.mark.skipif(not page_modules.is_installed(), reason="the page is not built on this machine")

_READ = """
import { isAddress } from "./recipients/address";
import { readText, Unreadable } from "./recipients/reading";
import { isTooLong, recipientOf, tableOf, variablesOf } from "./recipients/tables";

async function one({ channel, text }) {
  const table = tableOf("list", await readText(text), channel);
  const rows = table.rows.slice(table.header ? 1 : 0).map((row) => recipientOf(row, table.address, variablesOf(table)));
  return {
    people: rows.map(({ to }) => to),
    wrong: rows.filter(({ to }) => !isAddress(channel, to)).map(({ to }) => to),
    variables: rows.map(({ variables }) => Object.values(variables)),
    tooLong: table.rows.flatMap((row, index) => (isTooLong(table, row) ? [index] : [])),
  };
}
export default (lists) => Promise.all(lists.map((list) => one(list).catch((error) => {
  if (!(error instanceof Unreadable)) throw error;
  return { unreadable: error.message, ...error.named };
})));
"""


def read(*lists: tuple[str, str]) -> Any:
    return page_modules.run(_READ, [{"channel": channel, "text": text} for channel, text in lists])


LI, HAN = "13800138000", "13900139000"
LISTS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "dates before the numbers": (
        "sms",
        f"date,phone,sum\n20261130,{LI},12.50\n20261130,{HAN},8\n",
        [LI, HAN],
        [],
    ),
    "orders before numbers of which one is wrong": (
        "sms",
        f"2026113000123,{LI}\n2026113000124,1390013900\n2026113000125,{HAN}\n",
        [LI, "1390013900", HAN],
        ["1390013900"],
    ),
    "orders that look like mobile numbers, and a column that says what it is": (
        "sms",
        f"order,手机号码\n15000000001,{LI}\n15000000002,1390013900\n",
        [LI, "1390013900"],
        ["1390013900"],
    ),
    "numbers of elsewhere without their plus": (
        "sms",
        "order,Mobile No.\n2026113000123,85290001234\n2026113000124,85290001235\n",
        ["85290001234", "85290001235"],
        [],
    ),
    "numbers of elsewhere": (
        "sms",
        "2026113000123,+85290001234\n2026113000124,+49 1512 3456789\n",
        ["+85290001234", "+49 1512 3456789"],
        [],
    ),
    "a first number that is wrong": ("sms", f"1380013800,Li\n{HAN},Han\n", ["1380013800", HAN], ["1380013800"]),
    "a first number that is wrong beside a word that may name a column": (
        "sms",
        f"1380013800,User\n{HAN},Admin\n",
        ["1380013800", HAN],
        ["1380013800"],
    ),
    "full-width digits": (
        "sms",
        f"2026113000123,１３８００１３８０００\n2026113000124,{HAN}\n",
        ["１３８００１３８０００", HAN],
        [],
    ),
    "a lone column with its name": ("sms", f"Telefon\n{LI}\n", [LI], []),
    "a lone column without": ("sms", f"{LI}\n20261130\n", [LI, "20261130"], ["20261130"]),
    "days among the columns' names": ("sms", f"电话,20261130,20261201\n{LI},1,2\n", [LI], []),
    "a first mail address that is wrong": (
        "email",
        "lilei@example,Li\nhan@example.com,Han\n",
        ["lilei@example", "han@example.com"],
        ["lilei@example"],
    ),
    "a first row with an order and no address": (
        "email",
        "2026113000123,lilei.example.com\n2026113000124,han@example.com\n",
        ["lilei.example.com", "han@example.com"],
        ["lilei.example.com"],
    ),
    "names of columns in another language": ("email", "Vorname,Adresse\nLi,li@example.com\n", ["li@example.com"], []),
    "whose sender is an address, too": (
        "email",
        "from,E-Mail\nshop@example.com,li@example.com\nshop@example.com,han@example\nshop@example.com,wu@example.com\n",
        ["li@example.com", "han@example", "wu@example.com"],
        ["han@example"],
    ),
    "users without names of columns": ("websocket", "lilei,Hangzhou\nhan,Ningbo\n", ["lilei", "han"], []),
    "users with them": ("websocket", "city,User ID\nHangzhou,lilei\n", ["lilei"], []),
    "devices without": ("app", "4fc1a,A-7\n99e0b,A-8\n", ["4fc1a", "99e0b"], []),
    "devices with": ("app", "设备号,order\n4fc1a,A-7\n", ["4fc1a"], []),
    "one device a line": ("app", "token\n4fc1a\n", ["4fc1a"], []),
}


def test_the_columns_of_a_list_are_guessed() -> None:
    found = read(*[(channel, text) for channel, text, *_ in LISTS.values()])
    assert {case: (one["people"], one["wrong"]) for case, one in zip(LISTS, found, strict=True)} == {
        case: (people, wrong) for case, (_, _, people, wrong) in LISTS.items()
    }


NUMBERS = [
    "13800138000",
    "+8613800138000",
    "008613800138000",
    "138-0013-8000",
    "１３８００１３８０００",
    "+12025550123",
    "0012025550123",
    "+85290001234",
    "85290001234",
    "0085290001234",
    "+49(1512)3456789",
]
NO_NUMBERS = [
    "20261130",
    "2026-11-30",
    "19800101",
    "202611301",
    "12345678",
    "1380013800",
    "15",
    "12.50",
    "12025550123",
    "1(202)555-0123",
    "202-555-0123",
    "+1",
    "+86123456789",
    "86202611301234",
    "+0123456",
]


def test_the_page_takes_the_numbers_that_the_api_takes_and_no_day_for_one() -> None:
    script = """
    import { isAddress } from "./recipients/address";
    export default (numbers) => numbers.filter((number) => isAddress("sms", number));
    """
    assert page_modules.run(script, NUMBERS + NO_NUMBERS) == NUMBERS
    for number in NUMBERS:
        addresses.phone_number(number)


BROKEN = {
    "text behind a closing mark": (
        'to,name,city\na@x.com,"双11"会员,Hangzhou\nb@x.com,Li,Beijing\nc@x.com,"VIP",N\n',
        2,
    ),
    "the same before a break within a cell": ('to,name\r\na@x.com,"1\r\n2"\r\n\r\nb@x.com,"3" x\r\nc@x.com,"4"\r\n', 5),
    "no closing mark": ('to,name\na@x.com,Li\nb@x.com,"Han\nc@x.com,Wu\n', 3),
    "none far behind": ("to,name\n" + "a@x.com,Li\n" * 50_000 + 'b@x.com,"Han\nc@x.com,Wu\n', 50_002),
    "a list from Excel": ('to\tname\na@x.com\t"双11" 会员\nb@x.com\t"VIP"\n', 2),
}


def test_a_stray_quotation_mark_makes_no_recipient_of_several() -> None:
    found = read(*[("email", text) for text, _ in BROKEN.values()])
    assert dict(zip(BROKEN, found, strict=True)) == {
        case: {"unreadable": "quotes", "line": line} for case, (_, line) in BROKEN.items()
    }


def test_quotation_marks_that_are_right_are_read() -> None:
    # So long that portions end anywhere: within marks, between two of them, and behind a blank.
    cells = ['"a ""b"" c"', '"x,\ny" ', '12" pipe', '""']
    values = ['a "b" c', "x,\ny", '12" pipe', ""]
    text = "to,name\n" + "".join(f"p{number}@x.com,{cells[number % 4]}\n" for number in range(60_000))
    (found,) = read(("email", text))
    assert len(found["people"]) == 60_000
    assert found["variables"] == [[values[number % 4]] for number in range(60_000)]


def test_a_row_that_a_comma_parts_too_often_is_told() -> None:
    text = "to,name,sum\na@x.com,Wu, Zetian,8\nb@x.com,Li,8\nc@x.com,Han,8,, \nd@x.com,Wu\n"
    commas, tabulators, quoted = read(
        ("email", text),
        ("email", "a@x.com\tWu\nb@x.com\tLi\tHan\n"),
        ("email", 'to,name\na@x.com,"Wu, Zetian"\n'),
    )
    assert (commas["tooLong"], tabulators["tooLong"], quoted["tooLong"]) == ([1], [1], [])


# --- Excel ----------------------------------------------------------------------------------------------

_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CELLS: list[tuple[str, str]] = [
    # What is stored (of style 1 the moments, 2 the times, 3 the durations, 4 two decimals), and what the cell says.
    ('s="1"><v>46300.020833333336</v>', "2026-10-05 00:30:00"),
    ('s="1"><v>46300.0034722222</v>', "2026-10-05 00:05:00"),
    ('s="1"><v>46300</v>', "2026-10-05"),
    ('s="1"><v>1</v>', "1900-01-01"),
    ('s="1"><v>61</v>', "1900-03-01"),
    ('s="2"><v>0.60416666666666663</v>', "14:30:00"),
    ('s="2"><v>0</v>', "00:00:00"),
    ('s="3"><v>1.0625</v>', "25:30:00"),
    ('s="4"><v>12.5</v>', "12.5"),
    ("><v>13.750000000000002</v>", "13.75"),
    ("><v>0.1</v>", "0.1"),
    ("><v>13800138000</v>", "13800138000"),
    ("><v>20261005123456789012</v>", "20261005123456789012"),
    ("><v>1.5E-3</v>", "0.0015"),
    ('t="inlineStr"><is><t>000123</t></is>', "000123"),
    ('t="b"><v>1</v>', "true"),
]


def workbook(*cells: str) -> bytes:
    """An Excel file with a row for each cell."""
    formats = ["General", "yyyy-mm-dd hh:mm", "hh:mm", "[h]:mm", "0.00"]
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets><sheet name="People" sheetId="1" '
        'r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" '
        f'Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{_SHEET}"><numFmts>'
        + "".join(f'<numFmt numFmtId="{164 + n}" formatCode="{code}"/>' for n, code in enumerate(formats))
        + "</numFmts><cellXfs>"
        + "".join(f'<xf numFmtId="{164 + n}"/>' for n, _ in enumerate(formats))
        + "</cellXfs></styleSheet>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>'
        + "".join(f'<row r="{n}"><c r="A{n}" {cell}</c></row>' for n, cell in enumerate(cells, 1))
        + "</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_a_cell_of_excel_says_what_people_read_there() -> None:
    script = """
    import { readFile } from "./recipients/reading";
    export default (content) => readFile(new File([bytes(content)], "a.xlsx"), () => {});
    const bytes = (content) => Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
    """
    rows = page_modules.run(script, base64.b64encode(workbook(*[cell for cell, _ in CELLS])).decode())
    assert [row[0] for row in rows] == [said for _, said in CELLS]
