"""Sets are built whole, the same from any order, and grow without moving a photo."""

import csv
import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.photos.conftest import ROOT, encoded, gather, make_few, sky
from utils.data.examples import DataError
from utils.data.split import deck_of, scene_of, split_of
from utils.photos import dataset
from utils.photos.cleaning import SIDE, decode, look_of
from utils.photos.dataset import (
    COLUMNS,
    Build,
    PhotoRow,
    build,
    locked,
    photo_row,
    read_manifest,
    write_manifest,
)
from utils.photos.duplicates import Bytes, Pair
from utils.photos.simulator import simulate
from utils.photos.sources import Candidate
from utils.photos.sources.folder import from_folder
from utils.photos.sources.simulated import from_simulator
from utils.photos.store import open_photos

Tree = Callable[[Path], dict[str, bytes]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def index_of(label: str, nth: int = 0) -> int:
    """The number of the nth simulated photo with a label."""
    return [index for index in range(200) if simulate(5, index)[1].label == label][nth]


def test_the_manifest_tells_the_truth_about_the_files(built: tuple[Path, Build], photo_folder: Path) -> None:
    folder, result = built
    rows = read_manifest(folder)
    assert rows == result.rows
    assert [row.sha256 for row in rows] == sorted(row.sha256 for row in rows)
    sources = {sha256(path.read_bytes()) for path in photo_folder.rglob("*.jpg")}
    assert {row.sha256 for row in rows} == sources
    for row in rows:
        assert sha256((photo_folder / row.name).read_bytes()) == row.sha256
        assert row.deck == int(sha256(b"skyfed deck " + row.group.encode())[:8], 16) % 10
        assert (row.fold, row.split) == (row.deck // 2, split_of(row.deck, 0))
    on_disk = {path.relative_to(folder).as_posix() for path in folder.glob("[tv]*/*/*.png")}
    assert on_disk == {row.file for row in rows if row.file}
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        assert tuple(next(csv.reader(file)))[: len(COLUMNS)] == COLUMNS


def test_clean_photos_differ_in_nothing_but_their_pixels(built: tuple[Path, Build]) -> None:
    folder, result = built
    for row in result.rows:
        if row.file:
            with Image.open(folder / row.file) as image:
                assert (image.format, image.mode, image.size, dict(image.info)) == (
                    "PNG",
                    "RGB",
                    (SIDE, SIDE),
                    {},
                )
                assert not image.getexif()


def test_no_photo_lies_on_its_side_in_either_class(built: tuple[Path, Build], photo_folder: Path) -> None:
    """Obeying the stale tags would turn only cloudy photos; here each stands as its pixels did."""
    folder, result = built
    for row in result.rows:
        if row.file:
            with Image.open(photo_folder / row.name) as source, Image.open(folder / row.file) as cleaned:
                side = min(source.size)
                left, top = (source.width - side) // 2, (source.height - side) // 2
                square = source.convert("L").crop((left, top, left + side, top + side))
                upright = np.asarray(square.resize((32, 32), Image.Resampling.BOX), float)
                seen = np.asarray(cleaned.convert("L").resize((32, 32), Image.Resampling.BOX), float)
            fits = [np.abs(np.rot90(upright, turn) - seen).mean() for turn in range(4)]
            assert fits[0] == min(fits), row.name


def test_a_second_run_changes_no_byte(few: Path, tmp_path: Path, tree: Tree) -> None:
    gather(tmp_path / "set", few)
    before = tree(tmp_path / "set")
    again = gather(tmp_path / "set", few)
    assert tree(tmp_path / "set") == before
    assert (again.added, again.changed, again.refused) == (set(), [], [])


def test_the_set_does_not_depend_on_the_order_of_files(few: Path, tmp_path: Path, tree: Tree) -> None:
    shutil.copy(next((few / "sunny").iterdir()), few / "sunny" / "a copy.jpg")
    image = Image.open(next((few / "cloudy").iterdir()))
    (few / "cloudy" / "smaller.jpg").write_bytes(encoded(image.resize((180, 135))))
    gather(tmp_path / "one", few)
    with locked(tmp_path / "two"):
        build(tmp_path / "two", "folder", from_folder(few)[::-1])
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_the_photo_with_most_pixels_is_kept_and_gives_way_to_none_later(few: Path, tmp_path: Path) -> None:
    index = index_of("sunny", 20)
    for width in (160, 320, 240):
        file = few / "sunny" / f"wide{width}.jpg"
        file.write_bytes(encoded(sky(index, (width, width * 3 // 4)), quality=92))
    first = gather(tmp_path / "set", few)
    names = {row.sha256: row.name for row in first.rows}
    group = [row for row in first.rows if "wide" in row.name]
    assert len({row.group for row in group}) == 1
    assert group[0].group == min(row.sha256 for row in group)
    assert [row.name for row in group if row.file] == ["sunny/wide320.jpg"]
    assert {names[row.duplicate_of] for row in group if row.duplicate_of} == {"sunny/wide320.jpg"}

    (few / "sunny" / "wide640.jpg").write_bytes(encoded(sky(index, (640, 480)), quality=92))
    second = gather(tmp_path / "set", few)
    assert [row for row in second.rows if row.name != "sunny/wide640.jpg"] == first.rows
    newcomer = next(row for row in second.rows if row.name == "sunny/wide640.jpg")
    assert names[newcomer.duplicate_of] == "sunny/wide320.jpg"
    assert newcomer.group == group[0].group


def test_adding_photos_moves_none(few: Path, tmp_path: Path) -> None:
    first = gather(tmp_path / "set", few)
    more = make_few(tmp_path / "more", each=4, first=100)
    second = gather(tmp_path / "set", more)
    assert len(second.added) == 8
    assert [row for row in second.rows if row.sha256 not in second.added] == first.rows


def test_doubts_are_marked_in_a_set_old_or_new_and_change_what_results_are_measured_on(
    few: Path, tmp_path: Path
) -> None:
    first = gather(tmp_path / "set", few)
    before = open_photos(tmp_path / "set", 48, tmp_path / "store")
    doubted = first.rows[1].sha256
    with locked(tmp_path / "set"):
        second = build(
            tmp_path / "set", "folder", from_folder(few), {doubted: "blue sky, half a cloud", "f" * 64: "?"}
        )
    after = open_photos(tmp_path / "set", 48, tmp_path / "store")
    assert [row.sha256 for row in second.rows if row.doubtful] == [doubted]
    assert (
        before.taught.all()
        and not after.taught[after.ids.index(doubted)]
        and after.taught.sum() == len(after.ids) - 1
    )
    assert before.fingerprint != after.fingerprint
    gather(tmp_path / "set", few)
    assert [row.sha256 for row in read_manifest(tmp_path / "set") if row.doubtful] == [doubted]


def test_a_duplicate_is_known_by_its_own_look_even_where_the_kept_photo_shows_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later copy of a set-aside duplicate joins its group although only the duplicate's look is like it."""
    source = make_few(tmp_path / "source", each=1)
    names = sorted(path.name for path in (source / "sunny").iterdir())
    twin = source / "sunny" / "twin.jpg"
    twin.write_bytes(encoded(sky(150), quality=90))
    pairs_of(monkeypatch, [("sunny/" + names[0], "sunny/twin.jpg")], source)
    gather(tmp_path / "set", source)
    monkeypatch.undo()
    shutil.rmtree(source)
    (tmp_path / "later" / "sunny").mkdir(parents=True)
    (tmp_path / "later" / "sunny" / "again.jpg").write_bytes(encoded(sky(150), quality=60))
    result = gather(tmp_path / "set", tmp_path / "later")
    assert {row.group for row in result.rows if row.name == "sunny/again.jpg"} == {
        row.group for row in result.rows if row.name == "sunny/twin.jpg"
    }


def pairs_of(monkeypatch: pytest.MonkeyPatch, wanted: list[tuple[str, str]], *sources: Path) -> None:
    """Let exactly the named pairs of files show one picture."""
    by_look: dict[bytes, str] = {}
    for source in sources:
        for path in source.rglob("*.jpg"):
            look = look_of(decode(path.read_bytes()))
            by_look[look.tobytes()] = path.relative_to(source).as_posix()

    def stub(looks: Sequence[Bytes], first_new: int = 0) -> list[Pair]:
        names = [by_look[look.tobytes()] for look in looks]
        places = [
            sorted((names.index(one), names.index(two))) for one, two in wanted if {one, two} <= {*names}
        ]
        return [Pair(one, two, 1.0) for one, two in sorted(places) if two >= first_new]

    monkeypatch.setattr(dataset, "find_pairs", stub)


def test_a_photo_between_two_groups_of_the_set_joins_one_and_moves_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_few(tmp_path / "source", each=2)
    first, second = (f"sunny/{path.name}" for path in sorted((source / "sunny").iterdir()))
    before = gather(tmp_path / "set", source)
    (tmp_path / "more" / "sunny").mkdir(parents=True)
    for name, index in (("bridge.jpg", 160), ("beyond.jpg", 161)):
        (tmp_path / "more" / "sunny" / name).write_bytes(encoded(sky(index)))
    pairs = [
        (first, "sunny/bridge.jpg"),
        (second, "sunny/bridge.jpg"),
        ("sunny/bridge.jpg", "sunny/beyond.jpg"),
    ]
    pairs_of(monkeypatch, pairs, source, tmp_path / "more")
    after = gather(tmp_path / "set", tmp_path / "more")
    assert [row for row in after.rows if row.sha256 not in after.added] == before.rows
    groups = {row.group for row in before.rows if row.name in (first, second)}
    newcomers = [row for row in after.rows if row.sha256 in after.added]
    assert {row.group for row in newcomers} == {min(groups)}
    assert all(row.duplicate_of for row in newcomers)


@pytest.mark.parametrize("size", [(240, 180), (200, 150)], ids=["same-bytes", "near"])
def test_contradicting_labels_put_neither_photo_in_the_set(
    few: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    index = index_of("sunny", 20)
    (few / "sunny" / "one.jpg").write_bytes(encoded(sky(index)))
    (few / "cloudy" / "two.jpg").write_bytes(encoded(sky(index, size)))
    result = gather(tmp_path / "set", few)
    assert dict(result.refusals()) == {"labels contradict": 2}
    assert {name for name, _ in result.refused} == {"sunny/one.jpg", "cloudy/two.jpg"}
    assert len(result.rows) == 8
    assert gather(tmp_path / "set", few).rows == result.rows


def test_a_newcomer_that_contradicts_the_set_is_refused_and_the_set_stays(few: Path, tmp_path: Path) -> None:
    before = gather(tmp_path / "set", few)
    other = tmp_path / "other" / "cloudy"
    other.mkdir(parents=True)
    known = sorted((few / "sunny").iterdir())
    shutil.copy(known[0], other / "same.jpg")
    (other / "near.jpg").write_bytes(encoded(Image.open(known[1]).resize((200, 150))))
    after = gather(tmp_path / "set", tmp_path / "other")
    assert after.rows == before.rows
    assert {(name, refusal.reason) for name, refusal in after.refused} == {
        ("cloudy/same.jpg", "labels contradict"),
        ("cloudy/near.jpg", "labels contradict"),
    }
    assert known[1].name in str(dict(after.refused)["cloudy/near.jpg"])


def test_a_changed_source_file_is_noticed_once_for_each_change(few: Path, tmp_path: Path) -> None:
    before = gather(tmp_path / "set", few)
    victim = sorted((few / "sunny").iterdir())[0]
    victim.write_bytes(encoded(sky(index_of("sunny", 30))))
    after = gather(tmp_path / "set", few)
    assert after.changed == [f"sunny/{victim.name}"]
    assert len(after.rows) == len(before.rows) + 1
    assert gather(tmp_path / "set", few).changed == []


def test_a_lost_photo_is_written_again_and_strays_go(few: Path, tmp_path: Path, tree: Tree) -> None:
    result = gather(tmp_path / "set", few)
    before = tree(tmp_path / "set")
    victim = tmp_path / "set" / result.rows[0].file
    victim.unlink()
    stray = victim.with_name("0" * 64 + ".png")
    stray.write_bytes(b"left by a stopped run")
    (victim.parent / "mine.png").write_bytes(b"not ours to remove")
    gather(tmp_path / "set", few)
    after = tree(tmp_path / "set")
    assert after.pop((victim.parent / "mine.png").relative_to(tmp_path / "set").as_posix())
    assert after == before


def test_looks_are_made_again_where_they_were_deleted(few: Path, tmp_path: Path, tree: Tree) -> None:
    gather(tmp_path / "set", few)
    before = tree(tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / dataset.WORK)
    copy = tmp_path / "copy" / "sunny"
    copy.mkdir(parents=True)
    (copy / "small.jpg").write_bytes(
        encoded(Image.open(sorted((few / "sunny").iterdir())[0]).resize((200, 150)))
    )
    result = gather(tmp_path / "set", tmp_path / "copy")
    assert [bool(row.duplicate_of) for row in result.rows if row.sha256 in result.added] == [True]
    gather(tmp_path / "set", few)
    assert before.items() <= {**tree(tmp_path / "set"), "manifest.csv": before["manifest.csv"]}.items()


@pytest.mark.parametrize("simulated_first", [True, False])
def test_simulated_and_real_photos_never_mix(few: Path, tmp_path: Path, simulated_first: bool) -> None:
    kinds = [("simulated", from_simulator(4, 0)), ("folder", from_folder(few))]
    (one, first), (two, second) = kinds if simulated_first else kinds[::-1]
    with locked(tmp_path / "set"):
        build(tmp_path / "set", one, first)
        before = (tmp_path / "set" / "manifest.csv").read_bytes()
        with pytest.raises(DataError, match="never mix"):
            build(tmp_path / "set", two, second)
    assert (tmp_path / "set" / "manifest.csv").read_bytes() == before


def test_two_runs_do_not_build_one_set_at_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(DataError, match="another run"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def start(folder: Path, data: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "i0down_training_resource.py", "folder", str(folder), "--data", str(data)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.serial
def test_killed_at_any_moment_a_run_again_ends_as_an_undisturbed_one(tmp_path: Path, tree: Tree) -> None:
    source = make_few(tmp_path / "few", each=20)
    data = tmp_path / "data"
    started = time.monotonic()
    run = start(source, tmp_path / "whole")
    assert run.wait() == 0, run.stderr and run.stderr.read()
    whole = time.monotonic() - started
    expected = tree(tmp_path / "whole" / "few")
    killed = 0
    for share in np.linspace(0.3, 1.0, 8):
        run = start(source, data)
        time.sleep(float(share) * whole)
        killed += run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
        if (data / "few" / "manifest.csv").exists():
            read_manifest(data / "few")
        for path in data.glob("few/[tv]*/*/*.png"):
            Image.open(path).load()
        if share % 0.2 < 0.1:
            shutil.rmtree(data, ignore_errors=True)
    assert killed >= 4
    assert start(source, data).wait() == 0
    assert tree(data / "few") == expected


def test_what_an_earlier_run_cleaned_is_not_decoded_again(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(looks: Sequence[Bytes], first_new: int = 0) -> list[Pair]:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "find_pairs", stop)
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path / "set", few)
    monkeypatch.undo()
    monkeypatch.setattr(dataset.Apart, "__call__", None)
    assert len(gather(tmp_path / "set", few).rows) == 8


def test_what_a_killed_run_left_half_written_is_removed(few: Path, tmp_path: Path) -> None:
    left = tmp_path / "set" / ".work" / "looks" / ".photo.png.abc.draft"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    gather(tmp_path / "set", few)
    assert not left.exists()


HASHES = [sha256(bytes([number])) for number in range(4)]


def good_rows() -> list[PhotoRow]:
    one, two, three, _ = HASHES
    return [
        photo_row(
            one,
            "sunny",
            one,
            one,
            "folder",
            'a "quoted", name\nof two lines.jpg',
            provenance={"author": "Nobody"},
        ),
        photo_row(two, "sunny", one, one, "folder", "b.jpg"),
        photo_row(three, "cloudy", three, three, "mwd", "c\u2601.jpg"),
    ]


def test_a_manifest_reads_back_as_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, good_rows())
    assert read_manifest(tmp_path) == sorted(good_rows(), key=lambda row: row.sha256)
    for one, two in pairwise(read_manifest(tmp_path)):
        assert one.sha256 < two.sha256


def broken(tmp_path: Path) -> list[tuple[str, bytes]]:
    write_manifest(tmp_path, good_rows())
    good = (tmp_path / "manifest.csv").read_bytes()
    kept, duplicate, other = (row.sha256.encode() for row in good_rows())
    deck = str(deck_of(good_rows()[2].group)).encode()
    return [
        ("empty", b""),
        ("binary", b"\x80\x04\x95\xff\xfe" * 99),
        ("null bytes", good + b"\0\0\0\n"),
        ("no header", good.split(b"\n", 1)[1]),
        ("columns swapped", good.replace(b"file,sha256", b"sha256,file", 1)),
        ("column twice", good.replace(b"name,author", b"name,name", 1)),
        ("cut off", good[:-40]),
        ("open quote", good + b'"'),
        ("bad hash", good.replace(other, b"x" * 64)),
        ("short hash", good.replace(other, other[:-1])),
        ("bad label", good.replace(b"cloudy", b"rainy!")),
        ("bad deck", good.replace(b"," + deck + b",", b",11,")),
        ("way out", good.replace(b"/cloudy/" + other, b"/../../" + other)),
        ("twice", good + good.split(b"\n")[-2] + b"\n"),
        (
            "duplicate of nothing",
            good.replace(b"," + kept + b",folder,b.jpg", b"," + other + b",folder,b.jpg"),
        ),
        (
            "duplicate of itself",
            good.replace(b"," + kept + b",folder,b.jpg", b"," + duplicate + b",folder,b.jpg"),
        ),
        ("kept photo missing", b"\n".join(line for line in good.split(b"\n") if b"quoted" not in line)),
        ("too long a cell", good + b"x" * 200_000 + b"," * 10),
    ]


def test_a_broken_manifest_is_one_line_that_names_it(tmp_path: Path) -> None:
    for what, text in broken(tmp_path):
        (tmp_path / "manifest.csv").write_bytes(text)
        with pytest.raises(DataError) as error:
            read_manifest(tmp_path)
        assert str(error.value).startswith(f"{tmp_path / 'manifest.csv'}"), what
        assert "\n" not in str(error.value), what
        assert len(str(error.value)) < 500 + len(str(tmp_path)), what


def test_a_missing_manifest_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"i0down_training_resource\.py"):
        read_manifest(tmp_path / "nothing")


def _outings(count: int, per_outing: int) -> list[Candidate]:
    """Drawn skies of several outings each."""
    return [
        replace(one, scene=f"outing {index // per_outing}")
        for index, one in enumerate(from_simulator(count * per_outing, 5))
    ]


def test_what_belongs_together_at_its_source_is_never_split(tmp_path: Path) -> None:
    with locked(tmp_path):
        rows = build(tmp_path, "simulated", _outings(8, 4)).rows
    assert rows == read_manifest(tmp_path)
    together: dict[str, set[int]] = {}
    for row in rows:
        together.setdefault(row.scene, set()).add(row.deck)
    assert set(together) == {scene_of("simulated", f"outing {number}") for number in range(8)}
    assert all(len(decks) == 1 for decks in together.values())
    for scene, (deck,) in together.items():
        assert deck == deck_of(scene)


def test_the_scene_of_a_group_of_near_duplicates_is_that_of_its_kept_photo(few: Path, tmp_path: Path) -> None:
    image = Image.open(next((few / "cloudy").iterdir()))
    (few / "cloudy" / "smaller.jpg").write_bytes(encoded(image.resize((180, 135))))
    taken = [replace(one, scene=one.name) for one in from_folder(few)]
    with locked(tmp_path / "set"):
        rows = build(tmp_path / "set", "folder", taken).rows
    by_photo = {row.sha256: row for row in rows}
    (copy,) = [row for row in rows if row.duplicate_of]
    assert copy.scene == by_photo[copy.duplicate_of].scene and copy.deck == by_photo[copy.duplicate_of].deck
    assert len({row.scene for row in rows}) == len(rows) - 1


def test_where_nothing_is_known_of_scenes_the_group_is_one_and_the_fold_is_what_it_was(
    built: tuple[Path, Build],
) -> None:
    _, result = built
    for row in result.rows:
        assert row.scene == row.group and row.deck == deck_of(row.group)


def test_a_manifest_from_before_there_were_scenes_is_read_and_completed(few: Path, tmp_path: Path) -> None:
    rows = gather(tmp_path / "set", few).rows
    path = tmp_path / "set" / "manifest.csv"
    place = COLUMNS.index("scene")
    with path.open(newline="", encoding="utf-8") as file:
        cells = [line[:place] + line[place + 1 :] for line in csv.reader(file)]
    path.write_text("\n".join(map(",".join, cells)) + "\n")
    assert read_manifest(tmp_path / "set") == rows
    assert gather(tmp_path / "set", few).rows == rows and b",scene," in path.read_bytes()


def test_photos_of_one_picture_with_two_scenes_are_refused_by_the_reader(few: Path, tmp_path: Path) -> None:
    image = Image.open(next((few / "cloudy").iterdir()))
    (few / "cloudy" / "smaller.jpg").write_bytes(encoded(image.resize((180, 135))))
    rows = gather(tmp_path / "set", few).rows
    (copy,) = [row for row in rows if row.duplicate_of]
    other = photo_row(
        copy.sha256, copy.label, copy.group, copy.duplicate_of, copy.source, copy.name, scene_of("x", "y")
    )
    write_manifest(tmp_path / "set", [other if row is copy else row for row in rows])
    with pytest.raises(DataError, match="scene differs within group"):
        read_manifest(tmp_path / "set")
