"""The address of a recipient, as each channel has it: checked, and brought into its normal form.

Two ways to write the same address give the same text, so that the ledger finds a recipient by it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber


def shown(value: Any) -> str:
    """What was given, for a message: a glance at it, however long it is."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-1]}"


_BLANK = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_INVISIBLE = "\xad\u061c\u180e\ufeff" + "".join(
    map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)))
)
"""Marks without a width of their own: joiners, directions, byte order. Address books put directions around what one
copies, and none of them is in a number or at the end of an address."""
_AROUND = _BLANK + _INVISIBLE  # for str.strip: an expression that ends in $ takes quadratic time


def bare(text: str) -> str:
    """Text without the blanks and invisible marks around it."""
    return text.strip(_AROUND)


# --- mail ---------------------------------------------------------------------------------------------

_PLAIN_MAILBOX = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
"""Dot-atom of RFC 5322, section 3.2.3."""
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}(?<=[a-z])", re.ASCII)
"""Of letters, digits and hyphens (RFC 1123, 2.1), with nothing that IDNA would read (RFC 5890, 2.3.1)."""
_SPECIAL = frozenset({"arpa", "invalid", "local", "localhost", "onion"})
"""Top-level domains without mail (RFC 6761, 6762, 7686), as email-validator has them."""


def email_address(text: str) -> str:
    """Check one mail address and return it in its normal form (domain in lower case, RFC 5321, 6531).

    Blanks and invisible marks around it are dropped; within it, they are refused.

    :raises ValueError: it is not an address; the text says why.
    """
    address = bare(text)
    mailbox, _, domain = address.partition("@")
    # Nearly all addresses: long lists have few domains, and of a plain mailbox only the length can be wrong. One with
    # capitals is none: some mailboxes mean the same without them (Postmaster: RFC 5321, 4.5.1), most may not.
    if _PLAIN_MAILBOX.fullmatch(mailbox) and (known := _mail_domain(domain)):
        plain = f"{mailbox}@{known}"
        if len(plain) <= 254 and len(address) <= 254:
            return plain
    return _checked_address(address)


@lru_cache(maxsize=65536)
def _mail_domain(domain: str) -> str | None:
    """The domain of an address in its normal form; None leaves it to the whole check to say what is wrong."""
    plain = domain.lower()
    # Nearly all: the whole check takes up to a millisecond of a domain, and a list may have as many as addresses.
    if domain.isascii() and len(plain) <= 252 and _PLAIN_DOMAIN.fullmatch(plain):
        return plain if plain.rpartition(".")[2] not in _SPECIAL else None
    try:
        return _checked_address(f"x@{domain}").removeprefix("x@")
    except ValueError:
        return None


def _checked_address(address: str) -> str:
    # Imported here: it brings a DNS resolver that no DAG parse needs.
    from email_validator import EmailNotValidError, validate_email

    try:
        checked = validate_email(address, check_deliverability=False, test_environment=True, allow_smtputf8=True)
    except EmailNotValidError as error:
        raise ValueError(f"{shown(address)} is not a mail address: {error}") from error
    # An ASCII mailbox can always be reached over plain SMTP, the domain as IDNA.
    return checked.ascii_email or checked.normalized


def ascii_domain(domain: str) -> str:
    """The domain in the letters that DNS has, by RFC 5891 (UTS 46 without its transitional mappings).

    Python's own codec ``idna``, which sockets use as well, knows RFC 3490 alone and takes straße.de for strasse.de.

    :raises ValueError: it is no domain; the text says why.
    """
    if domain.isascii():
        return domain
    import idna

    return idna.encode(domain, uts46=True).decode()


# --- telephone ----------------------------------------------------------------------------------------

_MAINLAND = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
"""A mobile number of mainland China, with or without its country code, in the forms that Aliyun takes
(https://help.aliyun.com/document_detail/419273.html): 11 digits, of which the second is never 0, 1 or 2."""
_MARKS = re.compile(f"[{_INVISIBLE}]")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""The ASCII of a Chinese keyboard. Not all of Unicode's compatibility forms, which make a number of ① and ¹, too."""
_SEPARATORS = re.compile(r"[\s().\-\u2010-\u2015\u2043\u2212\ufe58\ufe63]+")
"""Blanks, brackets, dots, and whatever looks like a hyphen."""
_AMERICAN = re.compile(r"1 \d{3} ?\d{3} ?\d{4}|\d{3} \d{3} ?\d{4}", re.ASCII)
"""A number of North America without its plus: a lone 1, or a group of three digits and seven more."""
_AMERICAN_IN_ONE = re.compile(r"[2-9]\d{2}[2-9]\d{6}", re.ASCII)
"""The same in one piece, as it may be (https://en.wikipedia.org/wiki/North_American_Numbering_Plan)."""


def phone_number(text: str) -> str:
    """Check one mobile number and return it in its normal form.

    Mainland China: the 11 digits. Elsewhere: ``+``, country code and number (E.164), without separators. A number that
    begins with 1 is one of the mainland; those of North America need their ``+``, also where another country has them.
    Who writes neither ``+`` nor 00 is believed to have written a country code only where nothing speaks against it.

    :raises ValueError: it is no such number; the text says why.
    """
    if plain := _MAINLAND.fullmatch(text):  # nearly all numbers, of long lists
        return plain[1]
    groups = _SEPARATORS.sub(" ", _MARKS.sub("", text).translate(_FULL_WIDTH)).strip()
    if _AMERICAN.fullmatch(groups) or (_AMERICAN_IN_ONE.fullmatch(groups) and _is_of_north_america(groups)):
        raise ValueError(
            f"{shown(text)} is written as in North America, and nothing says that it is of there; write '+1' in front, "
            "or another '+' and country code, and a number of mainland China in one piece, like 13800138000"
        )
    digits = groups.replace(" ", "")
    mainland = _MAINLAND.fullmatch(digits)
    # A mistyped mainland number would pass for one of North America.
    return mainland[1] if mainland else _elsewhere(text, "" if digits.startswith("1") else digits)


def _is_of_north_america(digits: str) -> bool:
    """Whether ten digits are a number there: 2025550123 is one, and +20 25550123 would be possible in Egypt."""
    import phonenumbers

    return phonenumbers.is_valid_number(phonenumbers.parse(f"+1{digits}"))


_NEIGHBOURS = frozenset({852, 853, 886})
"""Codes of Hong Kong, Macau and Taiwan, whose numbers people of the mainland write without a plus."""
_LOCAL = {10: "IN", 11: "BR"}
"""Where mobile numbers have so many digits and no zero in front: they look as if they began with a country code."""


def _is_with_code(digits: str) -> bool:
    """Whether digits without a plus begin with a country code, as far as can be told.

    Else they may be a number of some country of its own, a date or an id, and the message would go to a stranger.
    """
    import phonenumbers

    if len(digits) < 10:
        return False
    number = phonenumbers.parse(f"+{digits}")
    return number.country_code in _NEIGHBOURS or (
        _is_mobile(number)
        and not (len(digits) in _LOCAL and _is_mobile(phonenumbers.parse(digits, _LOCAL[len(digits)])))
    )


def _is_mobile(number: PhoneNumber) -> bool:
    import phonenumbers

    mobile = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)
    return phonenumbers.number_type(number) in mobile  # of a number that is not valid, it is unknown


def _elsewhere(text: str, digits: str) -> str:
    import phonenumbers

    international = "+" + digits.removeprefix("+").removeprefix("00")
    problem = ValueError(
        f"{shown(text)} is not a mobile number; write 11 digits for mainland China, like 13800138000, "
        "else '+', country code and number, like +85290001234"
    )
    if not re.fullmatch(r"\+[1-9]\d{5,14}", international, re.ASCII):
        raise problem
    try:
        number = phonenumbers.parse(international)
        guessed = not digits.startswith(("+", "00"))
        if guessed and not _is_with_code(digits):
            raise problem
    except phonenumbers.NumberParseException:
        raise problem from None
    # By its length alone, if its code is sure: lists of the ranges in use are always older than the newest number.
    if number.country_code == 86 or not phonenumbers.is_possible_number(number):
        raise problem
    normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # One zero behind the country code is a habit of writing, +31 (0)6 …, and is dropped; of two, nobody can tell.
    if phonenumbers.parse(normal) != number:
        raise problem
    return normal
