"""The user's guide on the whole stack: every command of it, and what the stack has to stand.

One test, because it is one stack that all of it runs on; each command and each trial is reported by itself.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, GUIDES, on_the_stack, read_examples
from tests.guide import endurance, figures
from tests.guide.guide import Command, read_guide
from tests.guide.reader import NOT_COVERED, Reader
from tests.support.aimock import running_aimock
from tests.support.stack import Stack, running_stack

ANSWERS = Path(__file__).parents[1] / "clients" / "answers.json"
COMMANDS = [command for command in read_guide() if command.text.strip() not in NOT_COVERED]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_aimock(tmp_path, ANSWERS) as vendor, running_stack(tmp_path, provider=vendor.origin) as running:
        yield running


DOWN = "docker-compose down"


def in_turn(commands: list[Command]) -> list[Command]:
    """Without `docker-compose` commands that came before, word for word, and `down` last: starts take seconds."""
    seen: set[str] = set()
    kept = []
    for command in commands:
        if not (command.text in seen and command.text.startswith("docker-compose ")):
            kept.append(command)
        seen.add(command.text)
    return sorted(kept, key=lambda command: command.text.strip() == DOWN)


@pytest.mark.timeout(400)
def test_the_whole_stack_does_what_the_guide_says_and_stands_what_happens(
    stack: Stack, subtests: pytest.Subtests
) -> None:
    reader = Reader(stack)
    *commands, down = in_turn(COMMANDS)
    for number, command in enumerate(commands):
        with subtests.test(f"{number}: {command.name}"):
            reader.follow(command)
    trials = (
        endurance.is_deployed_as_the_guide_says,
        endurance.takes_a_changed_configuration,
        endurance.comes_back_from_a_backup,
        endurance.survives_a_killed_gateway_and_upgrades_without_a_lost_call,
        endurance.serves_without_its_servers,
        figures.are_collected_and_move,
    )
    for trial in trials:
        with subtests.test(trial.__name__):
            trial(stack)
    with subtests.test(DOWN):
        reader.follow(down)
        assert not any(service.is_running for service in stack.services.values())


def test_the_quick_reference_has_the_commands_of_the_guide() -> None:
    commands = [(one.language, one.text.strip()) for one in read_guide() if "PASSWORD=" not in one.text]
    page = [(one.language, one.text.strip()) for one in read_guide(DOCS / "guides" / "quick-reference.md")]
    assert page == [one for one in commands if not one[1].startswith("LITELLM_MASTER_KEY=")]


def test_every_block_that_the_guides_leave_to_the_stack_is_run_on_it() -> None:
    names = ("guide", "start", "reload", "upgrade", "backup", "restore")
    left = [example for page in GUIDES for example in read_examples(page) if example.expects.startswith("stack: ")]
    assert sorted(map(str, left)) == sorted(str(example) for name in names for example in on_the_stack(name))


def test_every_command_of_the_guide_is_run_or_named_with_the_reason() -> None:
    assert len(read_guide()) == 69
    assert {command.text.strip() for command in read_guide()} >= NOT_COVERED.keys()
    assert len(COMMANDS) == 69 - len(NOT_COVERED)
