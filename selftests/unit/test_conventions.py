"""The house rules that a machine can check."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from kdump.catalogue import suite_facts
from kdump.cause import MARKER, cause_of
from kdump.fact import CATALOGUE, MAYBE, Derived

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests").glob("test_*.py"))
# A kernel that does not run yet is judged for causes that have a file already, and for some that only it can have.
KERNEL_FILES = sorted((ROOT / "tests/qualification").glob("test_kernel_*.py"))


def load(path):
    spec = importlib.util.spec_from_file_location(f"suite_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    suite_facts()
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cause_file_is_named_after_its_cause_and_has_cases(path):
    """The cases: red, green and cannot-know."""
    module = load(path)
    assert path.stem == f"test_{cause_of(module, module.pytestmark.mark).id.replace('-', '_')}"
    assert (ROOT / "selftests" / "unit" / f"test_cause_{path.stem.removeprefix('test_')}.py").is_file()


@pytest.mark.parametrize("path", [*FILES, *KERNEL_FILES], ids=lambda path: path.stem)
class TestCauseFile:
    def test_documents_its_cause(self, path):
        module = load(path)
        cause = cause_of(module, module.pytestmark.mark)
        assert module.pytestmark.name == MARKER
        assert len(cause.explanation) > 100
        assert all(reference.startswith("https://") for reference in cause.references)

    def test_bodies_only_judge(self, path):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Try | ast.Raise), f"{path.name}:{node.lineno}: a body only judges"
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("run", "skip", "xfail", "check_output"), f"{path.name}:{node.lineno}"

    def test_every_argument_is_a_fact(self, path):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                parametrized = re.findall(r"parametrize\(\s*\(?\"([\w, ]+)\"", ast.unparse(node).replace("'", '"'))
                own = {name.strip() for names in parametrized for name in names.split(",")}
                for argument in node.args.args:
                    assert argument.arg in CATALOGUE or argument.arg in own, f"{path.name}: {argument.arg} is no fact"


def test_derived_facts_name_facts():
    suite_facts()
    for entry in CATALOGUE.values():
        for argument in entry.arguments if isinstance(entry, Derived) else ():
            assert argument.removeprefix(MAYBE) in CATALOGUE, f"{entry.name} takes {argument}, which is no fact"


def test_the_library_does_not_know_the_lab_nor_the_tests():
    for path in (ROOT / "kdump").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (lab|selftests|tests)\b", path.read_text(), re.MULTILINE), path


def test_the_shell_takes_no_denied_look_for_a_missing_file():
    """A test of the shell that fails tells nothing: kdump/files.sh has what does."""
    skips = re.compile(r"\[ ! -[ef] [^]]*\] \|\||\[ -[ef] [^]]*\] \|\| (?:continue|return 0)")
    found = {
        (path.name, line.strip())
        for path in (ROOT / "kdump").rglob("*.sh")
        for line in path.read_text().splitlines()
        if skips.search(line) and path.name != "files.sh"
    }
    assert found == {
        ("probe.sh", '[ ! -e "$candidate" ] || { file=$candidate && break; }'),  # of none of them cat says why
        (
            "crash.sh",
            '[ ! -f "$file" ] || token_in "$file" "beside $file:" "$2" "${3-}" "$file"',
        ),  # its folder was searched before
    }


def test_make_help_names_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = [name for line in re.findall(r"^\.PHONY: (.*)", text, re.MULTILINE) for name in line.split()]
    helped = " ".join(re.findall(r'^\t@echo "(.*)"', text, re.MULTILINE))
    missing = [name for name in targets if name != "help" and not re.search(rf"(?<![\w-]){name}(?![\w-])", helped)]
    assert targets and not missing
