"""`seqaug preview` on the command line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from seqaug.cli.main import cli
from seqaug.cli.terminal import Output
from seqaug.data.synthetic import toy_world

SMALL = [
    word
    for value in (
        "data.max_length=8", "items.dim=8", "encoders.main.layers=1", "encoders.main.inner=8", "training.batch_size=16",
        "diffusions.main.schedule.steps=10", "diffusions.main.noise.k=3", "diffusions.main.denoiser.inner=8",
    )
    for word in ("-s", value)
]  # fmt: skip
BELOW = re.compile(r"(?m)^user ")

Seqaug = Callable[..., Result]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """30 users, 40 items with titles, two of them nothing that HTML or a narrow terminal likes."""
    folder = tmp_path_factory.mktemp("data")
    world = toy_world(num_users=30, num_items=40, max_length=8)
    (folder / "toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    titles = {str(item): f"Title of the item number {item}, which is long" for item in range(1, 41)}
    titles |= {"1": "<b>Tom & Jerry</b>", "2": "七人の侍 七人の侍 七人の侍 七人の侍 七人の侍"}
    (folder / "titles.tsv").write_text("item\ttitle\n" + "".join(f"{item}\t{title}\n" for item, title in titles.items()))
    return str(folder / "toy.txt")


@pytest.fixture
def seqaug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seqaug:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    for name in ("DATA", "SET", "DEVICE", "SEED", "EPOCHS"):
        monkeypatch.delenv(f"SEQAUG_{name}", raising=False)
    return lambda *words, **environment: CliRunner().invoke(cli, list(words), env=environment)


@pytest.fixture
def small(seqaug: Seqaug, toy: str) -> Seqaug:
    """`seqaug preview simdiffrec` on the toy data."""
    titles = str(Path(toy).with_name("titles.tsv"))
    words = ["preview", "simdiffrec", "--data", toy, "--titles", titles, "--device", "cpu", *SMALL]
    return lambda *more, **environment: seqaug(*words, *more, **environment)


def document(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_recipe_says_first_that_it_is_untrained(small: Seqaug) -> None:
    done = small()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].startswith("untrained: the initial weights of seed 0.")
    assert document(small("--json"))["trained"] is False


def test_three_users_are_shown_unless_others_are_named(small: Seqaug) -> None:
    assert len(BELOW.findall(small().stdout)) == 3
    assert len(BELOW.findall(small("--sample", "5").stdout)) == 5
    named = document(small("--user", "7", "--user", "9", "--json"))
    assert [one["user"] for one in named["shown"]] == ["7", "9"]
    both = document(small("--user", "7", "--sample", "2", "--json"))
    assert both["shown"][0]["user"] == "7" and len(both["shown"]) == 3


def test_originals_and_views_stand_side_by_side_with_their_titles(small: Seqaug) -> None:
    found = document(small("--json", "--sample", "30"))
    user = max(found["shown"], key=lambda one: len(one["original"]))
    lines = small("--user", user["user"], "--rows", "0").stdout.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("user ")) + 2
    positive = user["views"]["diffused.positive"]
    assert lines[begin - 1].split() == ["conf.", "original", "positive", "negative"]
    for row, item in enumerate(user["original"]):
        line = lines[begin + row]
        assert line.split()[0] == str(user["begin"] + row + 1)
        assert ("*" in line) == positive["selected"][row]
        assert item["title"][:14] in line
        if positive["items"][row]["what"] == "replaced":
            assert positive["items"][row]["title"][:14] in line and f"{positive['items'][row]['similarity']:.2f}" in line


def test_the_document_has_everything_that_is_printed(small: Seqaug) -> None:
    found = document(small("--json"))
    known = "recipe data seed trained weights notes looked_at over similarity_at_random views made_up shown"
    assert list(found) == known.split()
    assert found["views"]["diffused.negative"]["negative"] is True
    shown = small().stdout
    for view in found["views"].values():
        assert view["numbers"]["put_in"] == 0 or f"{100 * view['numbers']['identity_rate']:.1f} %" in shown
    assert "false negatives" in shown and "The test item never is." in shown


def test_long_sequences_are_cut_to_their_latest_rows(small: Seqaug) -> None:
    user = max(document(small("--json", "--sample", "30"))["shown"], key=lambda one: len(one["original"]))
    length = len(user["original"])
    done = small("--user", user["user"], "--rows", "3")
    assert f"{length - 3} earlier rows are not shown" in done.stdout
    assert "earlier rows" not in small("--user", user["user"], "--rows", "0").stdout


def test_a_recipe_without_augmenters_says_so_and_ends_well(seqaug: Seqaug, toy: str, tmp_path: Path) -> None:
    done = seqaug("preview", "sasrec", "--data", toy, "--html", "page.html")
    assert done.exit_code == 0 and "sasrec has no augmenters" in done.stdout
    assert "sasrec has no augmenters" in (tmp_path / "page.html").read_text()
    found = document(seqaug("preview", "sasrec", "--data", toy, "--json"))
    assert found["views"] == {} and found["shown"] == [] and "sasrec has no augmenters" in found["notes"][0]


def test_results_are_on_stdout_alone(small: Seqaug) -> None:
    done = small("-q", "--html", "page.html")
    assert done.stderr == "" and re.search(r"(?m)^over \d+ of 30 users$", done.stdout)
    assert "written: page.html" in small("--html", "page.html").stderr


# ---- what is asked wrongly ----


def test_an_unknown_user_ends_with_exit_code_3(small: Seqaug) -> None:
    done = small("--user", "299")
    assert done.exit_code == 3 and "there is no user '299' in the data. Did you mean '29'?" in done.stderr
    assert json.loads(small("--user", "299", "--json").stdout)["error"]["exit_code"] == 3


def test_an_unknown_recipe_ends_with_exit_code_2(seqaug: Seqaug) -> None:
    done = seqaug("preview", "simdifrec")
    assert done.exit_code == 2 and "Did you mean 'simdiffrec'?" in done.stderr


def test_a_page_that_cannot_be_written_is_an_error_in_words(small: Seqaug) -> None:
    done = small("--html", "nowhere/page.html")
    assert done.exit_code == 1 and "nowhere/page.html cannot be written: No such file or directory." in done.stderr


def test_changes_of_the_recipe_are_changes_of_the_preview(small: Seqaug) -> None:
    found = document(small("--json", "--positions", "random:ratio=0.9", "--negatives", "uniform"))
    assert found["views"]["diffused.negative"]["numbers"]["selected"] > 0.7


# ---- runs ----


@pytest.fixture
def finished(seqaug: Seqaug, toy: str, tmp_path: Path) -> str:
    done = seqaug("run", "simdiffrec", "--data", toy, "--device", "cpu", "--epochs", "1", "--seed", "2", "--out", "r", *SMALL)
    assert done.exit_code == 0, done.output
    return "r"


def test_a_run_is_shown_with_its_weights_and_refuses_to_be_changed(seqaug: Seqaug, finished: str, toy: str) -> None:
    found = document(seqaug("preview", finished, "--json"))
    assert found["trained"] is True and found["seed"] == 2
    assert found["weights"] == "trained: the best weights of r (epoch 1 of 1, seed 2)."
    assert (
        document(seqaug("preview", finished, "--json", "--data", toy, "--seed", "2", "--device", "cpu", "--threads", "1"))
        == found
    )
    for words in (["-s", "items.dim=4"], ["--noise", "gaussian"], ["--epochs", "3"], ["--k-core", "2"], ["--ablation", "x"]):
        done = seqaug("preview", finished, *words)
        assert done.exit_code == 2, words
        assert f"{words[0] if words[0] != '-s' else '-s'}: r is a finished run" in done.stderr
    assert document(seqaug("preview", finished, "--json", SEQAUG_SET="items.dim=4")) == found, "the environment is for recipes"


def test_a_folder_that_is_no_run_is_refused(seqaug: Seqaug, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = seqaug("preview", "empty")
    assert done.exit_code == 1 and "empty is not a run folder" in done.stderr


def test_a_run_folder_that_is_not_there_is_no_recipe_of_an_unknown_name(seqaug: Seqaug) -> None:
    done = seqaug("preview", "runs/simdiffrec-lost")
    assert done.exit_code == 1 and "there is no run folder runs/simdiffrec-lost." in done.stderr
    assert seqaug("preview", "own/recipe.toml").exit_code == 2


def test_data_that_are_not_those_of_the_run_are_said_to_be_left_aside(
    seqaug: Seqaug, finished: str, toy: str, tmp_path: Path
) -> None:
    assert seqaug("data", "import", toy, "--name", "kept").exit_code == 0
    (tmp_path / "other.txt").write_text("1 2 3 4 5\n2 3 4 5 6\n")
    found = document(seqaug("preview", finished, "--json", "--data", "other.txt"))
    assert found["notes"][0].startswith("other.txt is not what the run used; kept is") and found["data"]["users"] == 30
    assert "other.txt is not what the run used" in seqaug("preview", finished, "--data", "other.txt").stdout
    assert not document(seqaug("preview", finished, "--json"))["notes"]


def test_a_folder_that_is_called_like_a_recipe_does_not_hide_the_recipe(small: Seqaug, tmp_path: Path) -> None:
    (tmp_path / "simdiffrec").mkdir()
    assert small().exit_code == 0


def test_made_up_items_are_printed_however_few_rows_are_asked_for(seqaug: Seqaug, toy: str) -> None:
    values = ["data.max_length=8", "items.dim=64", "encoders.main.inner=8", "training.batch_size=16", "training.epochs=1"]
    values += [f"stages.{stage}.epochs=1" for stage in range(3)] + ["stages.1.min_length=4", "diffusions.main.span=2"]
    values += ["diffusions.main.schedule.steps=10", "rewriters.prefixes.steps=2"]
    words = [word for value in values for word in ("-s", value)]
    done = seqaug("run", "diffuasr", "--data", toy, "--device", "cpu", "--out", "r", *words)
    assert done.exit_code == 0, done.output
    found = document(seqaug("preview", "r", "--sample", "30", "--json"))
    user = max((one for one in found["shown"] if one["made_up"] == 2), key=lambda one: len(one["original"]))
    lines = seqaug("preview", "r", "--user", user["user"], "--rows", "1").stdout.splitlines()
    hidden = len(user["original"]) - 3
    assert hidden > 0 and f"{hidden} earlier rows are not shown: --rows 0 shows all" in lines
    shown = [
        line.split() for line in lines if line.startswith("made") or line.strip().startswith(str(user["training_items"] - 1))
    ]
    titles = [item["item"] for item in user["original"]]
    assert shown == [["made", titles[0]], ["made", titles[1]], [str(user["training_items"] - 1), titles[-1]]]


# ---- terminals ----


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("recipe", ["simdiffrec", "cadirec", "mclrec"])
def test_no_line_is_wider_than_the_terminal(
    recipe: str, width: int, seqaug: Seqaug, toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Output, "to_terminal", property(lambda self: True))
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    titles = str(Path(toy).with_name("titles.tsv"))
    words = ["-s", "data.max_length=8", "-s", "items.dim=8", "--titles", titles, "--sample", "8"]
    done = seqaug("preview", recipe, "--data", toy, *words)
    assert done.exit_code == 0, done.output
    console = Console()
    wide = [line for line in done.stdout.splitlines() if console.measure(line).maximum > width]
    assert not wide
    assert "positions selected" in done.stdout or recipe == "mclrec"
    found = document(seqaug("preview", recipe, "--data", toy, *words, "--json"))
    own = {name for name, view in found["views"].items() if view["words"] is None}
    cosines = Counter(
        f"{item['similarity']:.2f}"
        for user in found["shown"]
        for name in own
        for item in user["views"][name]["items"]
        if item["what"] == "replaced"
    )
    printed = Counter(re.findall(r"-?\d\.\d\d\b", done.stdout))
    assert not cosines - printed, "a number was cut off at the end of its column"


# ---- the page ----


class Elements(HTMLParser):
    """What a browser would make of a page: tags with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_itself_and_escapes_what_it_shows(small: Seqaug, tmp_path: Path) -> None:
    small("--html", "page.html", "--sample", "30")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    found = Elements()
    found.feed(text)
    assert not {"script", "link", "img", "iframe", "b"} & {tag for tag, _ in found.tags}
    assert not [attributes for _, attributes in found.tags if {"src", "srcset"} & set(attributes)]
    assert all(str(attributes.get("href", "#")).startswith("#") for _, attributes in found.tags)
    assert "@import" not in text and "url(" not in text
    assert "<b>Tom & Jerry</b>" in found.text and "七人の侍" in found.text
    identities = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    links = [str(attributes["href"])[1:] for tag, attributes in found.tags if tag == "a"]
    assert set(links) <= set(identities)
