"""`seqaug audit` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from seqaug.cli.main import cli


def audit(*words: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *words])


def table(tmp_path: Path, *rows: str) -> str:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["method,dataset,metric,value", *rows]) + "\n")
    return str(path)


def test_the_paper_ends_with_exit_code_5_and_says_why() -> None:
    done = audit("paper")
    assert done.exit_code == 5
    assert "SimDiffRec on sports (table2) is impossible\n  NDCG@10 - NDCG@5 = 0.0252 - 0.0191 is at most 0.00620" in done.stdout
    assert done.stdout.count(" is impossible\n") == 6
    assert done.stdout.splitlines()[-1] == "62 blocks, 248 values: 6 impossible"


def test_json_lists_only_the_impossible_blocks_in_one_document() -> None:
    done = audit("paper", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 5 and len(found) == 6
    assert ("yelp", "MCLRec") in {(one["dataset"], one["method"]) for one in found}


def test_a_table_that_can_be_right_ends_with_0(tmp_path: Path) -> None:
    good = table(tmp_path, "A,beauty,HR@5,.0500", "A,beauty,HR@10,.0800")
    done = audit(good)
    assert done.exit_code == 0 and done.stdout == "1 block, 2 values: all possible\n"
    assert json.loads(audit(good, "--json").stdout) == []


def test_percentages_are_asked_for(tmp_path: Path) -> None:
    percent = table(tmp_path, "A,beauty,HR@5,5.00", "A,beauty,HR@10,8.00")
    assert audit(percent).exit_code == 5 and "--percent" in audit(percent).stdout
    assert audit(percent, "--percent").exit_code == 0
    assert audit("paper", "--percent").exit_code == 2


def test_slack_is_in_units_of_the_last_digit(tmp_path: Path) -> None:
    close = table(tmp_path, "A,beauty,HR@5,.0502", "A,beauty,HR@10,.0500")
    assert audit(close).exit_code == 5
    assert audit(close, "--slack", "1").exit_code == 0


def test_what_cannot_be_read_ends_with_3_and_the_line(tmp_path: Path) -> None:
    done = audit(table(tmp_path, "A,beauty,HR@5,many"))
    assert done.exit_code == 3 and "table.csv:2: HR@5 of A is 'many'" in done.stderr
    body = json.loads(audit(table(tmp_path, "A,beauty,HR@5,many"), "--json").stdout)
    assert body["error"]["kind"] == "DataError"
