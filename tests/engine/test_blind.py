"""The blind page and its votes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.blind import KEY, PAGE, Trial, count_votes, interval, write_page
from engine.errors import EngineError
from engine.picture import Floats
from engine.protocol import Done, Json, VotesRequest

NAMES = ("Starry Night", "Wheat Field")
COUNT = 6


def flat(value: float) -> Floats:
    return np.full((3, 20, 30), value, np.float32)


def page(folder: Path, seed: int = 0, names: tuple[str, str] = NAMES) -> Path:
    """Six choices; the first's results are dark, the second's bright."""
    trials = [Trial(f"content {i}", flat(0.5), (flat(i / 20), flat(1 - i / 20))) for i in range(COUNT)]
    return write_page(folder, names, trials, flat(0.3), seed)


def shown(folder: Path) -> Json:
    """What the page's script gets to see."""
    found = re.search(r"const data = (\{.*\});", (folder / PAGE).read_text())
    assert found
    return dict(json.loads(found[1]))


def vote_for(folder: Path, name: str, path: Path, ties: int = 0) -> Path:
    """A file as the page saves it, by somebody who sees through it; the last `ties` are undecided."""
    dark = name == NAMES[0]
    votes = {}
    for number, trial in enumerate(shown(folder)["trials"], 1):
        left, right = (np.asarray(Image.open(folder / trial[side])).mean() for side in ("left", "right"))
        votes[str(number)] = "tie" if number > COUNT - ties else "left" if (left < right) == dark else "right"
    path.write_text(json.dumps({"page": shown(folder)["page"], "votes": votes}))
    return path


def counted(folder: Path, *votes: Path) -> Json:
    (done,) = count_votes(VotesRequest("job", tuple(map(str, votes)), str(folder)))
    assert isinstance(done, Done)
    return done.report


def test_the_page_does_not_know_whose_is_whose(tmp_path: Path) -> None:
    text = page(tmp_path).read_text()
    assert all(name not in text and name.split()[0].lower() not in text for name in NAMES)
    for picture in (tmp_path / "pictures").iterdir():
        assert re.fullmatch(r"(\d{3}_(left|right|content)|painting)\.png", picture.name)
        assert not Image.open(picture).info, "nothing is written into a picture"
    assert json.loads((tmp_path / KEY).read_text())["names"] == list(NAMES)


def test_the_page_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    text = page(tmp_path).read_text()
    assert "http:" not in text and "https:" not in text and "//" not in re.sub(r"(?m)\s//.*$", "", text)
    assert "default-src 'none'" in text
    data = shown(tmp_path)
    for address in [data["painting"], *(path for trial in data["trials"] for path in trial.values())]:
        assert Image.open(tmp_path / address).size == (30, 20)


def test_sides_and_order_are_drawn_by_the_seed_each_side_as_often(tmp_path: Path) -> None:
    keys = []
    for number, seed in enumerate((1, 1, 2)):
        page(tmp_path / str(number), seed)
        keys.append(json.loads((tmp_path / str(number) / KEY).read_text()))
    assert keys[0] == keys[1] != keys[2]
    assert sorted(keys[0]["left"]) == [0] * (COUNT // 2) + [1] * (COUNT // 2)
    assert sorted(keys[0]["contents"]) == [f"content {i}" for i in range(COUNT)]
    assert keys[0]["contents"] != sorted(keys[0]["contents"])


def test_votes_find_their_way_back(tmp_path: Path) -> None:
    page(tmp_path, seed=3)
    report = counted(tmp_path, vote_for(tmp_path, NAMES[1], tmp_path / "votes.json", ties=2))
    assert report["wins"] == {NAMES[0]: 0, NAMES[1]: 4} and report["ties"] == 2 and report["share"] == 0
    assert report["interval"] == [0, pytest.approx(0.4899, abs=1e-3)]
    assert "Wheat Field is preferred." in report["say"]


def test_several_people_are_added_up(tmp_path: Path) -> None:
    page(tmp_path)
    votes = [vote_for(tmp_path, name, tmp_path / f"{i}.json") for i, name in enumerate(NAMES)]
    report = counted(tmp_path, *votes)
    assert report["wins"] == {NAMES[0]: COUNT, NAMES[1]: COUNT} and report["people"] == 2
    assert report["share"] == 0.5 and "no difference" in report["say"][-1]


def test_the_interval_is_wilsons() -> None:
    # 8 of 10: (.8 + z^2/20 -+ z sqrt(.16/10 + z^2/400)) / (1 + z^2/10) with z = 1.96
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert interval(0, 0) == (0, 1)
    assert interval(5, 5)[1] == pytest.approx(1) and interval(0, 5)[0] == pytest.approx(0)
    assert interval(500, 1000) == pytest.approx((0.4691, 0.5309), abs=1e-4)


def test_only_ties_decide_nothing(tmp_path: Path) -> None:
    page(tmp_path)
    report = counted(tmp_path, vote_for(tmp_path, NAMES[0], tmp_path / "votes.json", ties=COUNT))
    assert report["share"] is None and report["interval"] == [0, 1] and report["ties"] == COUNT


def test_a_page_is_never_overwritten(tmp_path: Path) -> None:
    page(tmp_path)
    with pytest.raises(EngineError, match="already a page"):
        page(tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("not json", "not valid JSON"),
        ('{"page": "other", "votes": {}}', "another page"),
        ('{"page": PAGE, "votes": []}', "holds no votes"),
        ('{"page": PAGE, "votes": {"99": "left"}}', "99: left"),
        ('{"page": PAGE, "votes": {"1": "both"}}', "1: both"),
        ('{"page": PAGE, "votes": {"1": ["left"]}}', "cannot have given"),
    ],
)
def test_votes_that_are_none_are_refused(tmp_path: Path, text: str, what: str) -> None:
    page(tmp_path)
    (tmp_path / "votes.json").write_text(text.replace("PAGE", json.dumps(shown(tmp_path)["page"])))
    with pytest.raises(EngineError, match=what):
        counted(tmp_path, tmp_path / "votes.json")


def test_votes_without_their_page_are_refused(tmp_path: Path) -> None:
    page(tmp_path)
    votes = vote_for(tmp_path, NAMES[0], tmp_path / "votes.json")
    with pytest.raises(EngineError, match=re.escape(KEY)):
        counted(tmp_path / "pictures", votes)
    (tmp_path / KEY).write_text('{"page": "x", "names": ["one"], "left": []}')
    with pytest.raises(EngineError, match="no key"):
        counted(tmp_path, votes)
    for request in (VotesRequest("job", (), str(tmp_path)), VotesRequest("job", (str(votes),), "")):
        with pytest.raises(EngineError):
            list(count_votes(request))


def test_a_name_cannot_end_the_pages_script(tmp_path: Path) -> None:
    """The names stay in the key, and the addresses on the page are our own; still nothing closes a tag."""
    text = page(tmp_path, names=("</script><b>", "B")).read_text()
    assert text.count("</script>") == 1
