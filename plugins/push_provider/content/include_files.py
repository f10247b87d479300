"""Files below the include directory: templates and attachments, and nothing outside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from push_provider.addresses import shown
from push_provider.contract.values import ATTACHMENTS_LIMIT
from push_provider.exceptions import ContentError


def include_root(include: Path | None) -> Path:
    """The include directory: the one given, or that of the settings."""
    if include is not None:
        return include
    from push_provider.settings import include_dir

    return include_dir()


def read_template(root: Path, name: str, limit: int) -> str | None:
    """The source of a template file.

    :param root: include/templates, resolved.
    :param limit: characters that it may have.
    :return: None when there is no such file.
    :raises ContentError: it is outside ``root``, too long or not text.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise ContentError(f"{shown(name)}: write the path of a template below include/templates, without '..'")
    try:
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            raise ContentError(f"{shown(name)}: leads out of include/templates; put the file itself there")
        if not file.is_file():
            return None
        if file.stat().st_size > 4 * limit:
            raise ContentError(f"{shown(name)}: is longer than {limit} characters")
        return file.read_text(encoding="utf-8-sig")  # editors on Windows put a BOM before it
    except UnicodeDecodeError as error:
        raise ContentError(f"{shown(name)}: is not text in UTF-8; save it so") from error
    except OSError as error:
        raise ContentError(f"{shown(name)} cannot be read: {error.strerror}") from error
    except RuntimeError as error:  # Python 3.11 and 3.12 at a link that leads to itself
        raise ContentError(f"{shown(name)}: its links lead round in a circle") from error


def attachment_areas(app: str | None) -> list[PurePosixPath]:
    """The folders below include/ that a task's attachments lie in: its application's, and that of all.

    :param app: of the task. One whose name is no name of a folder has none of its own.
    """
    areas = [_AREAS / _SHARED]
    if app and PurePosixPath(app).parts == (app,) and app not in ("..", "/") and "\\" not in app:
        areas.insert(0, _AREAS / app)
    return areas


_AREAS = PurePosixPath("attachments")
_SHARED = "shared"
_TASKS = "tasks"


def read_file(include: Path, name: str, limit: int, *, areas: Sequence[PurePosixPath] | None) -> bytes:
    """The bytes of an attachment below the include directory.

    :param limit: bytes that there is room for.
    :param areas: folders below ``include`` of which it must lie in one; None for any, but that of push tasks.
    :raises ContentError: it is missing, elsewhere or too large.
    """
    root = include.resolve()
    try:
        file = (root / name).resolve()
        if not file.is_relative_to(root):
            raise ContentError(f"attachments: {shown(name)} leads out of include/; put the file itself there")
        if file.is_relative_to((root / _TASKS).resolve()):
            raise ContentError(f"attachments: {shown(name)} is a file of push tasks, which are never sent")
        # Where it really lies, whatever links lead there; before anything is said of it.
        if areas is not None and not any(file.is_relative_to((root / area).resolve()) for area in areas):
            raise ContentError(
                f"attachments: {shown(name)} does not lie in {' or '.join(f'{area}/' for area in areas)} below "
                "include/; put it there ([push] attachment_areas)"
            )
        if not file.is_file():
            raise ContentError(f"attachments: there is no file {shown(name)} below include/; add it or leave it out")
        if file.stat().st_size > limit:
            raise ContentError(f"attachments: are more than {ATTACHMENTS_LIMIT} bytes in all; leave some out")
        return file.read_bytes()
    except OSError as error:
        raise ContentError(f"attachments: {shown(name)} cannot be read: {error.strerror}") from error
    except RuntimeError as error:  # Python 3.11 and 3.12 at a link that leads to itself
        raise ContentError(f"attachments: {shown(name)}: its links lead round in a circle") from error


_OFFICE = "application/vnd.openxmlformats-officedocument."
_KNOWN_TYPES = {
    ".docx": _OFFICE + "wordprocessingml.document",
    ".xlsx": _OFFICE + "spreadsheetml.sheet",
    ".pptx": _OFFICE + "presentationml.presentation",
    ".gz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".md": "text/markdown",
}
"""Types that Python 3.11 does not know by itself, or takes for an encoding."""


def mime_type(name: str) -> str:
    """The type of a file by its name, ``application/octet-stream`` for what nobody knows."""
    import mimetypes

    suffixes = PurePosixPath(name).suffixes
    known = _KNOWN_TYPES.get(suffixes[-1].lower()) if suffixes else None
    # An instance of our own: the module's functions read files of the machine. It is asked about the end of the name
    # alone: the whole of it would be taken for a URL, and "//[x" for a bad one (ValueError from Python 3.13 on).
    guess, encoding = mimetypes.MimeTypes().guess_type(f"file{''.join(suffixes[-2:])}")
    return known or (guess if guess and not encoding else "application/octet-stream")
