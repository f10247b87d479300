"""Addresses of each channel: what is one, and its normal form."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from push_provider.addresses import bare, email_address, phone_number

# --- mail -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ann@example.com", "ann@example.com"),
        (" ann@example.com\n", "ann@example.com"),
        ("Ann@EXAMPLE.Com", "Ann@example.com"),
        ("ann@exämple.de", "ann@xn--exmple-cua.de"),
        ("ann@straße.de", "ann@xn--strae-oqa.de"),
        ("用户@STRAẞE.de", "用户@straße.de"),
        ("ann@例子.公司", "ann@xn--fsqu00a.xn--55qx5d"),
        ("ann@xn--fsqu00a.xn--55qx5d", "ann@xn--fsqu00a.xn--55qx5d"),
        ("安@例子.公司", "安@例子.公司"),
        ("a.b+c_d=e/f!#$%&'*?^`{|}~-@example.com", "a.b+c_d=e/f!#$%&'*?^`{|}~-@example.com"),
        ("ann@mail.test", "ann@mail.test"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
        ("\u202aann@example.com\u202c", "ann@example.com"),  # as address books paste it
        ("\ufeff ann@example.com\u200b\u00a0", "ann@example.com"),
        ("\u2068安@例子.公司\u2069\u3000", "安@例子.公司"),
    ],
)
def test_addresses(given: str, kept: str) -> None:
    assert email_address(given) == kept
    assert email_address(kept) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@@example.com",
        "ann@example",
        "ann@localhost",
        "ann@-x.com",
        "a b@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..b@example.com",
        "Ann <ann@example.com>",
        "ann@[127.0.0.1]",
        "ann@" + "x" * 64 + ".com",
        "ann@" + "x." * 125 + "com",
        "a,b@example.com",
        "ann@example.com\r\nBcc: b@example.com",
        "ann@exa_mple.com",
        '"a b"@example.com',
        "ann@example.com.",
        "x" * 60 + "@" + ".".join(["y" * 49] * 4) + ".com",
        "ann\x00@example.com",
        "ann@例子",
        "an\u200bn@example.com",
        "ann@exam\u00adple.com",
        "ann\u202e@example.com",
        "ann＠example.com",
        "ann@ex\u2011ample.com",
        "\u200b",
    ],
)
def test_what_is_not_an_address(given: str) -> None:
    with pytest.raises(ValueError, match="is not a mail address: "):
        email_address(given)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.emails(),
        st.from_regex(r"[a-zA-Z0-9.!+_-]{1,66}@[a-zA-Z0-9.-]{1,30}\.(com|COM|test|local|c)", fullmatch=True),
        st.builds("{}@{}".format, st.text(max_size=6), st.sampled_from(["example.com", "EXÄMPLE.de", "x"])),
        st.from_regex(
            r"x@((a-?|xn--|ab--|-|B1|9|.-|[a-z]{60,66})[a-z0-9-]{0,4}\.){0,4}(com|1|x1|c-|arpa|LOCAL|onion|invalid|test|a)",
            fullmatch=True,
        ),
    )
)
@example("x@ab--c.com")
@example("x@a.b.local")
@example("x@mail.TEST")
@example("x@a.1com")
@example("x@a.com1")
@example("x@" + "a" * 63 + ".com")
@example("x@" + "a" * 64 + ".com")
@example("x@" + "a." * 125 + "a")
@example("x@" + "a." * 125 + "aa")
@example("x@" + "a." * 124 + "com")
@example("x@\u212aelvin.com")
@example("WWW@0.com")  # one of the mailboxes whose case is known not to matter (RFC 2142)
@example("Postmaster@example.com")
@example("Ann.Lee@example.com")
def test_the_quick_way_gives_what_the_whole_check_gives(text: str) -> None:
    from email_validator import EmailNotValidError, validate_email

    expected: str | None
    try:
        bare = re.sub(r"^[\s\u00ad\u200b-\u206f\ufeff]+|[\s\u00ad\u200b-\u206f\ufeff]+$", "", text)
        checked = validate_email(bare, check_deliverability=False, test_environment=True)
        expected = checked.ascii_email or checked.normalized
    except EmailNotValidError:
        expected = None
    try:
        got: str | None = email_address(text)
    except ValueError:
        got = None
    assert got == expected


def test_a_list_with_a_domain_for_each_address_is_quick() -> None:
    """As many domains as addresses, each of ninety labels, took 0.6 ms each: half a minute of a body of 13 MB."""

    def seconds(domain: str) -> float:
        addresses = [f"{'a' * 60}@{domain}{n}.example" for n in range(3000)]
        began = time.process_time()
        assert [email_address(one) for one in addresses] == addresses
        return time.process_time() - began

    # Measured: 5 times; 80 times it was.
    assert min(seconds("b." * 90) for _ in range(3)) < 20 * min(seconds("") for _ in range(3))


def test_blanks_around_are_those_of_python_in_linear_time() -> None:
    blanks = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
    assert bare(f"{blanks}a{blanks}") == "a"
    inner = "a" + "\u00a0\u200b" * 2_000_000 + "a"
    assert bare(inner) == inner


# --- telephone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("13800138000", "13800138000"),
        ("+8613800138000", "13800138000"),
        ("+86 138-0013-8000", "13800138000"),
        ("008613800138000", "13800138000"),
        ("8613800138000", "13800138000"),
        (" 138 0013 8000\n", "13800138000"),
        ("１３８００１３８０００", "13800138000"),  # full-width digits, as a Chinese keyboard gives them
        ("19900001111", "19900001111"),
        ("85290001234", "+85290001234"),
        ("+852 9000 1234", "+85290001234"),
        ("0085290001234", "+85290001234"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("0014155552671", "+14155552671"),
        ("447911123456", "+447911123456"),
        ("+886912345678", "+886912345678"),
        ("14155552671", "14155552671"),  # without a plus it is a mainland number
        ("\u202d13800138000\u202c", "13800138000"),  # as address books paste it
        ("\u202a+86\u00a0138\u20110013\u20118000\u202c", "13800138000"),
        ("+\u200e852 9000 1234", "+85290001234"),
        ("\ufeff138\u20100013\u20138000", "13800138000"),
        ("138\u22120013\u22128000\u200b", "13800138000"),
        ("１３８－００１３－８０００", "13800138000"),
        ("＋８５２　９０００　１２３４", "+85290001234"),
        ("＋１（４１５）５５５－２６７１", "+14155552671"),
        ("+852\u202f9000\u20091234", "+85290001234"),
        ("852-9000-1234", "+85290001234"),
        ("(852) 9000 1234", "+85290001234"),
        ("+44 (0)7911 123456", "+447911123456"),
    ],
)
def test_numbers(given: str, kept: str) -> None:
    assert phone_number(given) == kept
    assert phone_number(kept) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "12345678901",
        "12155552671",
        "1380013800",
        "138001380000",
        "12800138000",
        "+8612800138000",
        "+8601088888888",
        "861088888888",
        "+999123456789",
        "+852",
        "+8521",
        "+852900012345678",
        "13800138000,13900139000",
        "138001380oo",
        "+1415555267",
        "tel:13800138000",
        "13800138000;ext=1",
        "ann@example.com",
        "++85290001234",
        "٠١٢٣٤٥٦٧٨٩",
        "1" * 400,
        "1380013800①",  # which Unicode's compatibility forms make a 1 of
        "1380013800¹",
        "138/0013/8000",
        "138\u200b",
        "310000000",  # a zero behind the country code is dropped, and there would be another
        "+31 00 6 1234 5678",
    ],
)
def test_what_is_no_number(given: str) -> None:
    with pytest.raises(ValueError, match="is not a mobile number; write 11 digits"):
        phone_number(given)


@pytest.mark.parametrize(
    "given",
    ["1 (415) 555-2671", "1-415-555-2671", "1 4155552671", "1.380.013.8000", "(650) 253-0000", "650-253-0000"],
)
def test_what_looks_american_is_neither_a_mainland_number_nor_one_of_singapore(given: str) -> None:
    with pytest.raises(ValueError, match=r"is written as in North America, .* write '\+1' in front, "):
        phone_number(given)
    assert phone_number(f"+{given}" if given[0] == "1" else f"+1 {given}").startswith("+1")


@pytest.mark.parametrize(
    "given",
    ["6502530000", "2025550123", "9175551234", "3105551234", "6465551234", "４１５５５５２６７１", "\u202d4155552671"],
)
def test_ten_digits_of_north_america_are_no_number_of_another_country(given: str) -> None:
    with pytest.raises(ValueError, match=r"is written as in North America, .* write '\+1' in front, "):
        phone_number(given)
    assert phone_number(f"+1{given}").startswith("+1")
    assert phone_number(f"001{given}").startswith("+1")


@pytest.mark.parametrize("given", ["6591234567", "8529000123", "4791234567", "4520123456", "6581234567"])
def test_other_ten_digits_begin_with_their_country_code(given: str) -> None:
    assert phone_number(given) == phone_number(f"+{given}") == f"+{given}"


@pytest.mark.parametrize(
    "given",
    [
        "61234567",  # of Hong Kong or Singapore; with a plus it would be one of Australia
        "9876543210",  # of India: of Iran
        "919876543",
        "51912345678",  # of Brazil with its area code: of Peru, Thailand and Vietnam
        "66912345678",
        "84 91234-5678",
        "81234567890",  # of Indonesia, whose zero a table has dropped: a landline of Japan
        "4512345678",  # of nowhere: Denmark has no such number
        "20261130",  # a date, and an id: of Egypt
        "20230001",
    ],
)
def test_digits_are_not_taken_for_a_number_of_some_other_country(given: str) -> None:
    with pytest.raises(ValueError, match=r"is not a mobile number; write 11 digits .*, else '\+', country code"):
        phone_number(given)


@pytest.mark.parametrize("given", ["+61234567890", "0061234567890", "+9876543210", "+51912345678", "+4512345678"])
def test_with_a_plus_the_length_alone_counts(given: str) -> None:
    assert phone_number(given) == f"+{given.removeprefix('+').removeprefix('00')}"


@pytest.mark.parametrize("given", ["447911123456", "886912345678", "85366001234", "5511912345678", "919876543210"])
def test_a_mobile_number_with_its_country_code_needs_no_plus(given: str) -> None:
    assert phone_number(given) == f"+{given}"


@pytest.mark.parametrize("given", ["+6502530000", "006502530000"])
def test_who_writes_a_country_code_is_believed(given: str) -> None:
    assert phone_number(given) == "+6502530000"


@given(st.text(alphabet="+0123456789 -()", max_size=20) | st.from_regex(r"(\\+|00)?[1-9][0-9]{6,13}", fullmatch=True))
def test_a_number_s_normal_form_stays_as_it_is(text: str) -> None:
    try:
        kept = phone_number(text)
    except ValueError:
        return
    assert phone_number(kept) == kept
