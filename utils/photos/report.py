"""What a build did, for people: a few lines for the terminal and one self-contained page with a contact sheet."""

import base64
from collections import Counter
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image

from utils.data.split import FOLDS, SPLITS
from utils.files import atomic_write
from utils.photos.dataset import LOOKS, Build, PhotoRow
from utils.photos.labels import LABELS, words_that_count

NAMING = ("no class in its name", "two classes in one name", "file and folder disagree", "a class denied")
"""Reasons of refusals that better names would mend."""

MOST_SHOWN = 1200
"""Photos on the contact sheet; a larger set shows the first ones by sha256."""

_THUMB = 72
_MOST_LINES = 500
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1c2733; background: #fff; }
table { border-collapse: collapse; margin: 0 0 1.5rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; border-bottom: 1px solid #dde3ea; }
th:first-child, td:first-child { text-align: left; }
td.name { text-align: left; overflow-wrap: anywhere; }
.sheet { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: 1.5rem; }
.group { display: flex; gap: 1px; padding: 2px; border: 1px solid #b9c4d0; }
img { width: 72px; height: 72px; display: block; }
@media (prefers-color-scheme: dark) { body { color: #dfe7ef; background: #12181f; }
  th, td { border-color: #2b3642; } .group { border-color: #45525f; } }
"""


def summary(build: Build) -> str:
    """A build in a few lines."""
    kept = [row for row in build.rows if row.file]
    lines = [f"{len(kept)} photos in the set: {_by_label(kept)}; {len(build.added)} files are new"]
    near = len(build.rows) - len(kept)
    if near or build.copies:
        lines.append(f"duplicates set aside: {near} near, {len(build.copies)} exact")
    for split in SPLITS:
        lines.append(f"  {split:<5} {_by_label([row for row in kept if row.split == split])}")
    if build.refused:
        lines.append(f"refused: {len(build.refused)} files")
        lines += [f"  {count:>5} {reason}" for reason, count in build.refusals()]
        if any(reason in NAMING for reason, _ in build.refusals()):
            lines.append(f"words that count in a name: {words_that_count()}")
    for split in SPLITS:
        labels = {row.label for row in kept if row.split == split}
        if len(labels) < len(LABELS):
            absent = " and no ".join(label for label in LABELS if label not in labels)
            lines.append(
                f"NOTE: there is no {absent} photo in {split}: nothing can be said of what is not there"
            )
    if lying := build.taken_as_they_lie():
        lines.append(
            f"taken as they lie, their EXIF orientation not believed: {len(lying)} photos: {_few(lying)}"
        )
    if build.changed:
        lines.append(f"changed since an earlier run, taken as new photos: {_few(build.changed)}")
    return "\n".join(lines)


def write_report(folder: Path, title: str, build: Build) -> Path:
    """Write `report.html` into the set's folder and return its path. All names in it are escaped."""
    path = folder / "report.html"
    kept = [row for row in build.rows if row.file]
    copies: dict[str, list[PhotoRow]] = {}
    for row in build.rows:
        if row.duplicate_of:
            copies.setdefault(row.duplicate_of, []).append(row)
    folds = "".join(
        _cells(
            f"fold {fold}",
            *(sum(row.fold == fold and row.label == label for row in kept) for label in LABELS),
        )
        for fold in range(FOLDS)
    )
    splits = "".join(
        _cells(split, *(sum(row.split == split and row.label == label for row in kept) for label in LABELS))
        for split in SPLITS
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(kept)} photos, {len(build.rows) - len(kept)} near duplicates and {len(build.copies)} exact "
        f"copies set aside, {len(build.refused)} files refused.</p>",
        f"<h2>Photos</h2><table>{_head('held out in', *LABELS)}{folds}</table>",
        f"<table>{_head('split of fold 0', *LABELS)}{splits}</table>",
        _lying(build),
        _refusals(build),
        _duplicates(folder, build, copies),
    ]
    for label in reversed(LABELS):
        rows = [row for row in kept if row.label == label]
        shown = rows[: MOST_SHOWN // len(LABELS)]
        note = f", the first {len(shown)} of {len(rows)}" if len(shown) < len(rows) else ""
        images = "".join(_thumb(folder / row.file, f"{row.name} ({row.split})") for row in shown)
        parts.append(f'<h2>{label}{note}</h2><div class="sheet">{images}</div>')
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    with atomic_write(path) as file:
        file.write(page.encode("utf-8"))
    return path


def _lying(build: Build) -> str:
    lying = build.taken_as_they_lie()
    if not lying:
        return ""
    names = "".join(f"<li>{escape(name)}</li>" for name in lying[:_MOST_LINES])
    return (
        f"<h2>Taken as they lie</h2><p>{len(lying)} photos ask in their EXIF to be turned, but name no camera or not "
        "the sizes that their pixels have, so that they may have been turned already. If they lie on their side below, "
        f"turn the files and gather them again.</p><ul>{names}</ul>"
    )


def _refusals(build: Build) -> str:
    if not build.refused:
        return ""
    counts = "".join(_cells(reason, count) for reason, count in build.refusals())
    shown = sorted((name, str(refusal)) for name, refusal in build.refused)[:_MOST_LINES]
    lines = "".join(
        f'<tr><td class="name">{escape(name)}</td><td class="name">{escape(why)}</td></tr>'
        for name, why in shown
    )
    note = f"<p>The first {len(shown)}:</p>" if len(shown) < len(build.refused) else ""
    return f"<h2>Refused</h2><table>{_head('reason', 'files')}{counts}</table>{note}<table>{lines}</table>"


def _duplicates(folder: Path, build: Build, copies: dict[str, list[PhotoRow]]) -> str:
    if not copies and not build.copies:
        return ""
    groups = []
    for row in [row for row in build.rows if row.sha256 in copies][: MOST_SHOWN // 4]:
        looks = "".join(
            _thumb(folder / LOOKS / f"{copy.sha256}.png", f"{copy.name}, duplicate of {row.name}")
            for copy in copies[row.sha256]
        )
        groups.append(f'<div class="group">{_thumb(folder / row.file, f"{row.name}, kept")}{looks}</div>')
    exact = "".join(
        f"<li>{escape(name)} = {escape(first)}</li>" for name, first in build.copies[:_MOST_LINES]
    )
    return (
        "<h2>Duplicates</h2><p>In each frame the photo that is kept, then in grey those that show the same "
        f'picture.</p><div class="sheet">{"".join(groups)}</div>'
        + (f"<p>The same file under another name:</p><ul>{exact}</ul>" if exact else "")
    )


def _thumb(path: Path, title: str) -> str:
    if not path.exists():
        return ""
    with Image.open(path) as image:
        small = image.resize((_THUMB, _THUMB), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" title="{escape(title)}" alt="{escape(title)}">'


def _head(*cells: str) -> str:
    return f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in cells)}</tr>"


def _cells(*cells: str | int) -> str:
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _by_label(rows: list[PhotoRow]) -> str:
    counts = Counter(row.label for row in rows)
    return ", ".join(f"{counts[label]} {label}" for label in reversed(LABELS))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
