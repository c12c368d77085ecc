"""The repository's files for contributors."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
NEEDED = {
    "markdown": {"value"},
    "textarea": {"label"},
    "input": {"label"},
    "dropdown": {"label", "options"},
}
"""Attributes of an element of a form, as GitHub documents them."""


def form(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))


def questions(name: str) -> list[dict[str, Any]]:
    return [element for element in form(name)["body"] if element["type"] != "markdown"]


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert [file.stem for file in FORMS] == ["addition", "bug", "number"]


@pytest.mark.parametrize("name", [file.stem for file in FORMS])
def test_github_can_show_a_form(name: str) -> None:
    assert form(name).keys() == {"name", "description", "labels", "body"}
    for element in form(name)["body"]:
        assert NEEDED[element["type"]] <= element["attributes"].keys()
    ids = [element["id"] for element in questions(name)]
    labels = [element["attributes"]["label"] for element in questions(name)]
    assert len({*ids}) == len(ids)
    assert len({*labels}) == len(labels)


@pytest.mark.parametrize(
    ("name", "command"),
    [("bug", "brushbench doctor"), ("number", "brushbench data verify"), ("addition", "brushbench validate")],
)
def test_a_form_asks_for_what_the_suite_can_tell(name: str, command: str, brushbench) -> None:
    assert any(command in element["attributes"]["label"] for element in questions(name))
    assert brushbench(*command.split()[1:], "--help")[0] == 0


def test_the_ten_commands_are_explained_and_name_files_that_exist() -> None:
    recipes = (ROOT / "justfile").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z]+)\b.*:$", recipes, re.MULTILINE)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(names) == 10
    assert [name for name in names if f"| `just {name}" not in page] == []
    assert re.findall(r"^\| `just (\w+)", page, re.MULTILINE) == names
    files = re.findall(r"(?:docs|tests)/[\w./]+", recipes)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_hooks_are_tools_of_the_development_environment() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    installed = {re.split(r"[>=<]", tool)[0] for name in ("lint", "test") for tool in groups[name]}
    commands = {hook["entry"].split()[0] for hook in hooks[0]["hooks"]}
    packages = {"lint-imports": "import-linter"}
    assert {packages.get(command, command) for command in commands} <= installed
    assert all(hook["language"] == "system" for hook in hooks[0]["hooks"])
