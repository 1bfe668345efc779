"""The HTML report: whole, self-contained, escaped, and complete."""

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from finished_study import CHOSEN, TRIALS, write_finished_study

from hpo.errors import InputError
from hpo.records.artifacts import ArtifactStore, default_store, put_only
from hpo.records.database import connect
from hpo.records.studies import Studies
from hpo.reports.inspection_view import kind_of
from hpo.reports.page import write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags are closed in order, and gathers what the page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(values)
        if "id" in values:
            self.ids.append(str(values["id"]))
        self.links += [str(values[k]) for k in ("href", "src") if k in values]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('page')}/hpo.db"
    write_finished_study(url, looks=2)
    return url


@pytest.fixture(scope="module")
def page(url: str, tmp_path_factory: pytest.TempPathFactory) -> Outline:
    path = write_report(url, "digits", tmp_path_factory.mktemp("report") / "r.html")
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    assert not outline.open
    return outline


def words(page: Outline) -> str:
    return re.sub(r"\s+", " ", " ".join(page.text))


def test_the_page_needs_no_other_file(page: Outline) -> None:
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_stage_has_its_section_question_and_verdict(page: Outline) -> None:
    stages = ["data", "baseline", "overfit", "regularize", "tune", "squeeze"]
    assert page.ids == ["stages", "comparison", "chosen", *stages, "looks"]
    text = words(page)
    for expected in (
        "Can this data be learned from?",
        "What closes the gap?",
        "To beat: small network at 0.9611.",
        f"all {TRIALS} trials were used.",
        f"trial {CHOSEN} (",
        "The loss became infinite or NaN in epoch 7",
        "3 columns never change.",
    ):
        assert expected in text


def test_text_of_verdicts_is_escaped(page: Outline) -> None:
    assert words(page).count("<b>&</b>") == 3
    assert "<i>4</i> times the noise" in words(page)


def test_the_comparison_has_intervals_and_says_which_look_it_was(page: Outline) -> None:
    text = words(page)
    for score in ("0.981 [0.964, 0.994]", "0.967 [0.947, 0.983]", "0.100 [0.070, 0.130]"):
        assert score in text
    assert "look number 2" in text
    assert "The prior, at 0.1, lies outside the picture." in text
    assert "best baseline: small network" in text


def test_ranges_and_choices_are_shown(page: Outline) -> None:
    text = words(page)
    assert "0.0001 to 1, log" in text
    assert "momentum, rmsprop, adam" in text


def test_what_mattered_is_shown_with_intervals_interactions_and_what_is_fixed(page: Outline) -> None:
    text = " ".join(page.text)
    for told in ("Which hyperparameters mattered", "40% [30, 50]", "learning_rate and dropout", "12% [5, 20]",
                 "fixed next at 0.125"):  # fmt: skip
        assert told in text


def test_pictures_are_svg_with_a_description(page: Outline) -> None:
    alts = [str(image["alt"]) for image in page.images]
    assert all(alts)
    assert "Test scores of the models with their intervals" in alts
    assert f"Training and validation loss of trial {CHOSEN}" in alts
    assert "learning_rate against training loss" in alts
    assert "dropout against validation accuracy" in alts
    for image in page.images:
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(data).startswith(b"<svg")


def test_the_chosen_trial_of_the_last_searching_stage_is_shown(page: Outline) -> None:
    text = words(page)
    assert f"The chosen trial: tune, trial {CHOSEN}" in text
    assert f"hpo inspect trial digits {CHOSEN} --stage tune" in text
    assert f"Losses and layers of trial {CHOSEN} of stage tune" in [image["alt"] for image in page.images]


def test_first_weights_are_drawn_and_what_is_missing_has_its_command(page: Outline) -> None:
    text = words(page)
    assert any("by initializer and activation" in str(image["alt"]) for image in page.images)
    assert "hpo inspect init --layers 2 --width " in text
    for name in ("lr", "gradients"):
        assert f"Not looked at yet: hpo inspect {name} digits" in text


def test_kept_pictures_are_shown_and_lost_ones_are_no_fault(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    write_finished_study(url)
    with connect(url) as db:
        store = ArtifactStore(default_store(db))
        study_id = Studies(db).get("digits").id
        for content in (b"<svg>old</svg>", b"<svg>new</svg>"):
            ref = put_only(db, store, study_id, kind_of("lr"), "digits/inspect-lr.svg", content)
        assert Studies(db).artifacts(study_id, kind_of("lr")) == [ref]
        assert [p.suffix for p in Path(store.url).rglob("*.svg")] == [".svg"]
    text = write_report(url, "digits", tmp_path / "r.html").read_text()
    assert base64.b64encode(b"<svg>new</svg>").decode() in text
    assert text.count("Not looked at yet") == 1
    elsewhere = write_report(url, "digits", tmp_path / "r.html", str(tmp_path / "other")).read_text()
    assert elsewhere.count("Not looked at yet") == 2


def test_no_framework_is_loaded_for_a_page(url: str, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from hpo.reports.page import write_report\n"
        f"write_report({url!r}, 'digits', {str(tmp_path / 'r.html')!r})\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_same_study_gives_the_same_page(url: str, tmp_path: Path) -> None:
    first, second = (write_report(url, "digits", tmp_path / f"{i}.html").read_bytes() for i in range(2))
    assert first == second
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.html", "1.html"]


def test_a_study_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hpo.db"
    with connect(url) as db:
        study = Studies(db).open("begun", {"name": "begun"}, "f", 0)
        Studies(db).begin_stage(study.id, "data", 1, 0, "f", "none", None, 0, None, None)
    text = write_report(url, "begun", tmp_path / "r.html").read_text()
    assert "No verdict yet." in text
    assert "The test set has not been opened yet" in text
    assert "Nothing was searched yet" in text
    assert "The chosen trial" not in text


def test_bad_input_leaves_no_file(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="digits"):
        write_report(url, "digitz", tmp_path / "r.html")
    with pytest.raises(InputError, match="no folder"):
        write_report(url, "digits", tmp_path / "none" / "r.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="can be written"):
        write_report(url, "digits", tmp_path / "folder")
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]
