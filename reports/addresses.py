"""Where does the page of a thing lie, whatever the thing is called?

The site is one folder: days and lists at its root, and a folder a kind below it. A name that others gave becomes a
file's name of letters, digits, dots, signs and hyphens; what had to be changed for that carries a digest of the whole
name, so that two names never share a page and none can leave the folder. Partner: `subject_pages.py`.
"""

from __future__ import annotations

import hashlib
import re

import markupsafe

from reports import texts
from reports.blocks import Linked, Subject

# The folder of each kind of subject; its list has the folder's name too.
FOLDERS = {"security": "securities", "model": "models", "factor": "factors", "alert": "alerts"}
_UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]+")
# Versions and factors, such as ridge/2026-11-20 and equity_pca/1: the model's name has no hyphen.
_OF_A_MODEL = re.compile(r"[a-z_0-9]+/[0-9-]+")
# What a file's name made here looks like; a name that looks so from the start is made unlike it.
_MADE = re.compile(r".*-[0-9a-f]{8}|[a-z_0-9]+-[0-9-]+")
LONGEST_NAME = 80


def file_name(name: str) -> str:
    """The file's name of a page, without its ending.

    >>> file_name("600000.SH"), file_name("equity_pca/1"), file_name("../../etc")
    ('600000.SH', 'equity_pca-1', 'etc-74ccf3c5')
    """
    if _OF_A_MODEL.fullmatch(name):
        return name.replace("/", "-")
    plain = _UNSAFE.sub("-", name).strip("-.")[:LONGEST_NAME]
    if plain and plain == name and not _MADE.fullmatch(name):
        return plain
    return f"{plain or 'none'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def path_of(subject: Subject) -> str:
    """Where a subject's page lies below the site's folder.

    Raises:
        KeyError: there is no such kind.
    """
    return f"{FOLDERS[subject.kind]}/{file_name(subject.name)}.html"


def list_of(kind: str) -> str:
    """Where the list of a kind lies below the site's folder.

    Raises:
        KeyError: there is no such kind.
    """
    return f"{FOLDERS[kind]}.html"


def followed(sentence: str, root: str) -> markupsafe.Markup:
    """A sentence as text of a page, those of its words that lead somewhere as links.

    Args:
        sentence: perhaps a `Linked` one.
        root: the way from the page to the site's folder.

    Raises:
        KeyError: words lead to a kind of subject that there is not.
    """
    parts, rest = [], str(sentence)
    for lead in sentence.leads if isinstance(sentence, Linked) else ():
        before, words, behind = rest.partition(lead.words)
        if words:
            address = f"#{lead.about}" if isinstance(lead.about, str) else root + path_of(lead.about)
            link = markupsafe.Markup('<a href="{}">{}</a>').format(address, texts.readable(words))
            parts += [markupsafe.escape(texts.readable(before)), link]
            rest = behind
    return markupsafe.Markup("").join([*parts, markupsafe.escape(texts.readable(rest))])
