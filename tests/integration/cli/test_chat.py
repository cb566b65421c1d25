"""`alloy chat` as a person meets it: a real pseudo-terminal, keys typed, the screen read."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from alloy_actors.local import LocalServer
from alloy_actors.session import Session
from tests.integration.cli.terminal import CTRL_C, CTRL_D, ENTER, ESCAPE, TAB, UP, Terminal

Open = Callable[..., Terminal]
Model = Callable[..., list[str]]

PROMPT = r"\d+ tokens >$"
ANSWER_1 = r"This is user turn 1 of our\s+conversation"


def prompts(count: int) -> Callable[[str], bool]:
    """Whether so many prompts have been shown, the last of which waits."""
    return lambda text: (
        len(re.findall(r"tokens >", text)) == count and re.search(r"tokens >\s*\Z", text) is not None
    )


def test_an_answer_streams_in_and_the_prompt_counts_its_tokens(terminal: Open, model: Model) -> None:
    screen = terminal("chat", *model(deltas=8, fault="stall"))
    screen.wait_for(r"scripted-fast.* by openai-compat\. /help shows the commands")
    screen.wait_for(r"· 0 tokens >")
    screen.type("hello" + ENTER)
    screen.wait_for("word0 word1 word2")  # while the server says nothing more
    screen.type(CTRL_C)
    screen.wait_for("cancelled")
    screen.wait_until(prompts(2), "the next prompt")
    assert screen.text().count("word0 word1 word2") == 1
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    assert "Traceback" not in screen.text()


def test_a_whole_conversation(terminal: Open, server: LocalServer, folder: Path) -> None:
    (folder / "notes.txt").write_text("remember the milk\n")
    screen = terminal(
        "chat",
        "--api-url",
        server.url,
        "--model",
        "scripted-demo",
        "--tools",
        "read,bash",
        "--session",
        "talk.json",
    )
    screen.wait_for(PROMPT)
    screen.type("hello **there**" + ENTER)
    screen.wait_for(ANSWER_1)
    screen.wait_until(prompts(2), "the next prompt")
    assert 'You said: "hello there"' in screen.text(), "Markdown is drawn"
    screen.type('read(file_path="notes.txt")' + ENTER)
    screen.wait_for(r'ok read\(file_path="notes.txt"\) \d+\.\d\d s')
    screen.wait_for(r"remember the milk[\s\S]* turn 2")
    screen.wait_until(prompts(3), "the next prompt")
    screen.type("/history" + ENTER)
    text = screen.wait_for(r'assistant\s+\[read\(file_path="notes.txt"\)\]\s+user\s+\[result: 1 remember')
    assert re.search(r"user +hello \*\*there\*\*", text)
    screen.type("/usage" + ENTER)
    screen.wait_for(r"\d+ tokens \(\d+ in, \d+ out\)")
    screen.type("/tools" + ENTER)
    screen.wait_for(r"read +Read a text file")
    screen.type("/reset" + ENTER)
    screen.wait_for("the conversation begins anew")
    screen.type("/history" + ENTER)
    screen.wait_for("nothing was said yet")
    screen.type("/quit" + ENTER)
    assert screen.wait_exit() == 0
    assert len(Session.from_json((folder / "talk.json").read_bytes()).messages) == 6
    again = terminal("chat", "--api-url", server.url, "--model", "scripted-fast", "--session", "talk.json")
    again.wait_for("the conversation goes on after 6 messages")
    again.wait_for(r"· [1-9]\d* tokens >")
    again.type(CTRL_D)
    assert again.wait_exit() == 0


def test_no_paragraph_is_lost_or_shown_twice(terminal: Open, model: Model) -> None:
    names = [f"paragraph-{number}" for number in range(40)]
    text = "\n\n".join([f"{name} is *long* enough to be told apart" for name in names])
    screen = terminal(
        "chat", *model(text=f"# Title\n\n- a list\n\n```py\ncode\n\nmore\n```\n\n{text}", pause=0.002)
    )
    screen.wait_for(PROMPT)
    screen.type("go" + ENTER)
    screen.wait_until(prompts(2), "the next prompt")
    text = screen.text()
    assert re.findall(r"^(paragraph-\d+) is long enough", text, re.MULTILINE) == names
    assert re.search(r"Title[^-]* • a list\n\n code\n\n more", text), "Markdown is drawn"
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_ctrl_c_cancels_a_tool_that_runs_and_its_time_is_shown(
    terminal: Open, model: Model, folder: Path
) -> None:
    screen = terminal("chat", "--tools", "bash", *model())
    screen.wait_for(PROMPT)
    screen.type('bash(command="sleep 600")' + ENTER)
    screen.wait_for(
        r'bash\(command="sleep 600"\) [1-9]\d*\.\d s \.\.\.|bash\(command="sleep 600"\) 0\.[1-9] s \.\.\.'
    )
    screen.type(CTRL_C)
    screen.wait_for("cancelled")
    screen.wait_until(prompts(2), "the next prompt")
    screen.type("still there?" + ENTER)
    screen.wait_for(r"This is user turn 2")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_ctrl_c_at_the_prompt_drops_the_line_and_stays(terminal: Open, model: Model) -> None:
    screen = terminal("chat", *model())
    screen.wait_for(PROMPT)
    screen.type("not this")
    screen.wait_for("not this")
    screen.type(CTRL_C)
    screen.wait_until(prompts(2), "the next prompt")
    screen.type("but this" + ENTER)
    screen.wait_for(r'You said: "but this"\. This is user turn 1')
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_several_lines_are_one_message(terminal: Open, model: Model) -> None:
    screen = terminal("chat", *model())
    screen.wait_for(PROMPT)
    screen.type("one\\" + ENTER)
    screen.wait_for(r"\.\.\. *$")
    screen.type("two" + ESCAPE + ENTER + "three" + ENTER)
    screen.wait_for(r"You said: .one two three.")
    screen.type("/history" + ENTER)
    screen.wait_for("user +one two three")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_keys_typed_during_a_run_are_the_next_line(terminal: Open, model: Model, server: LocalServer) -> None:
    screen = terminal("chat", *model(gate="typed"))
    screen.wait_for(PROMPT)
    screen.type("first" + ENTER)
    server.wait_stats(active=1)
    screen.type("/usage" + ENTER + CTRL_D)
    server.open_gate("typed")
    screen.wait_for(r"\d+ tokens \(\d+ in, \d+ out\)")
    assert screen.wait_exit() == 0


def test_commands_are_completed_and_lines_remembered(
    terminal: Open, model: Model, env: dict[str, str]
) -> None:
    screen = terminal("chat", *model())
    screen.wait_for(PROMPT)
    screen.type("/")
    screen.wait_for(r"/usage +tokens of this conversation")
    screen.type("us")
    screen.wait_until(lambda text: "/model" not in text, "the one command that is left")
    screen.type(TAB)
    screen.wait_for("> /usage$")
    screen.type(ENTER)
    screen.wait_for(r"0 tokens \(0 in, 0 out\)")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    (history,) = Path(env["HOME"]).rglob("history")
    assert history.stat().st_mode & 0o777 == 0o600
    again = terminal("chat", *model())
    again.wait_for(PROMPT)
    again.type(UP)
    again.wait_for("> /usage")
    again.type(ENTER)
    again.wait_for(r"0 tokens \(0 in, 0 out\)")
    again.type(CTRL_D)
    assert again.wait_exit() == 0


def test_the_model_may_change_and_the_conversation_stays(terminal: Open, server: LocalServer) -> None:
    screen = terminal("chat", "--api-url", server.url, "--model", "scripted-fast")
    screen.wait_for(PROMPT)
    screen.type("hello" + ENTER)
    screen.wait_for("turn 1")
    screen.type("/model scripted-thinking" + ENTER)
    screen.wait_for("scripted-thinking by openai-compat answers from now on")
    screen.wait_for("scripted-thinking · ")
    screen.type("and now?" + ENTER)
    screen.wait_for(r"\[scripted-thinking: a script, not a model\] You said: .and now.* turn 2")
    screen.type("/model mistral:large" + ENTER)
    screen.wait_for("no key for mistral: set MISTRAL_API_KEY")
    screen.type("/model demo:scripted-fast" + ENTER)
    screen.wait_for("scripted-fast by demo answers from now on")
    screen.type("still?" + ENTER)
    screen.wait_for("turn 3")
    screen.type("/model" + ENTER)
    screen.wait_for("scripted-fast by demo; /model NAME")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_a_conversation_is_saved_and_loaded(terminal: Open, model: Model, folder: Path) -> None:
    screen = terminal("chat", *model())
    screen.wait_for(PROMPT)
    screen.type("hello" + ENTER)
    screen.wait_for("turn 1")
    screen.type("/save talk.json" + ENTER)
    screen.wait_for(r"saved 2 messages to talk\.json")
    screen.type("more" + ENTER)
    screen.wait_for("turn 2")
    screen.type("/load talk.json" + ENTER)
    screen.wait_for(r"2 messages from talk\.json")
    screen.type("again" + ENTER)
    screen.wait_for(r'You said: "again"\. This is user turn 2')
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    assert len(Session.from_json((folder / "talk.json").read_bytes()).messages) == 2


FAILING = {
    "/load damaged.json": r"damaged\.json: this is no session of alloy-actors",
    "/load newer.json": r"newer\.json: session format 99 is newer",
    "/load nowhere.json": r"nowhere\.json: No such file or directory",
    "/save damaged.json": r"damaged\.json: this is no session of alloy-actors",
    "/save file/below.json": r"file/below\.json: it cannot be written: Not a directory",
    "/save": r"which file\? /save FILE",
    "/hlep": r"there is no command /hlep \(did you mean /help\?\)",
}


def test_a_command_that_fails_says_so_and_the_chat_goes_on(
    terminal: Open, model: Model, folder: Path
) -> None:
    (folder / "file").touch()
    (folder / "damaged.json").write_text('{"id": "x", "mess')
    (folder / "newer.json").write_text(json.dumps({"format": 99}))
    screen = terminal("chat", *model())
    screen.wait_for(PROMPT)
    for count, (line, said) in enumerate(FAILING.items(), 2):
        screen.type(line + ENTER)
        screen.wait_for(said)
        screen.wait_until(prompts(count), "the next prompt")
    screen.type("//hello" + ENTER)
    screen.wait_for('You said: "/hello"')
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    assert "Traceback" not in screen.text()
    assert (folder / "damaged.json").read_text() == '{"id": "x", "mess'


def test_a_dead_server_is_told_and_the_chat_goes_on(terminal: Open) -> None:
    screen = terminal("chat", "--api-url", "http://127.0.0.1:1", "--model", "m", "--max-retries", "0")
    screen.wait_for(PROMPT)
    screen.type("hello" + ENTER)
    screen.wait_for("ConnectionFailedError: no connection to 127.0.0.1:1")
    screen.wait_until(prompts(2), "the next prompt")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    assert "Traceback" not in screen.text()


def test_waiting_for_another_attempt_is_told_while_it_is_waited(
    terminal: Open, model: Model, server: LocalServer
) -> None:
    screen = terminal("chat", *model(status=503, retry_after=60))
    screen.wait_for(PROMPT)
    screen.type("hello" + ENTER)
    screen.wait_for(r"trying again in 60\.0 s")
    screen.type(CTRL_C)
    screen.wait_for("cancelled")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


def test_a_folder_that_cannot_be_written_costs_the_history_alone(
    terminal: Open, model: Model, folder: Path
) -> None:
    (folder / "file").touch()
    screen = terminal("chat", *model(), XDG_STATE_HOME=str(folder / "file"))
    screen.wait_for("what you type is not kept for next time: .*Not a directory")
    screen.wait_for(PROMPT)
    screen.type("hello" + ENTER)
    screen.wait_for("turn 1")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0


@pytest.mark.parametrize("when", ["at the prompt", "during a run"])
def test_sigterm_ends_it_in_order(when: str, terminal: Open, model: Model, server: LocalServer) -> None:
    screen = terminal("chat", *model(deltas=8, fault="stall"))
    screen.wait_for(PROMPT)
    if when == "during a run":
        screen.type("hello" + ENTER)
        screen.wait_for("word0 word1")
    screen.signal(signal.SIGTERM)
    assert screen.wait_exit() == 143
    assert screen.echoes(), "the terminal is as it was"
    assert "Traceback" not in screen.text()
    server.wait_stats(active=0)


@pytest.mark.parametrize("when", ["at the prompt", "during a run"])
def test_a_closed_window_ends_it_and_the_conversation_is_kept(
    when: str, terminal: Open, model: Model, server: LocalServer, folder: Path
) -> None:
    screen = terminal("chat", *model(deltas=8, fault="stall"), "--session", "talk.json")
    screen.wait_for(PROMPT)
    if when == "during a run":
        screen.type("hello" + ENTER)
        screen.wait_for("word0 word1")
    screen.hang_up()
    # The end of the keyboard may be noticed before the signal: then it is as if Ctrl-D had been pressed.
    assert screen.wait_exit() in {128 + signal.SIGHUP, 0}
    server.wait_stats(active=0)
    if when == "during a run":
        assert "word0 word1" in Session.from_json((folder / "talk.json").read_bytes()).messages[-1].text


def test_a_dumb_terminal_is_enough(terminal: Open, model: Model) -> None:
    screen = terminal("chat", *model(deltas=8, fault="stall", after=1), TERM="dumb")
    screen.wait_for(PROMPT)
    screen.type("hello\n")
    screen.wait_for("word7")
    screen.wait_until(prompts(2), "the next prompt")
    screen.type("and more\n")
    screen.wait_for("word0 word1 word2[^7]*$")
    screen.type(CTRL_C)
    screen.wait_for("cancelled")
    screen.wait_until(prompts(3), "the next prompt")
    screen.type(CTRL_C)
    screen.wait_until(prompts(4), "the next prompt")
    screen.type(CTRL_D)
    assert screen.wait_exit() == 0
    assert b"\x1b" not in screen.said
    assert "Traceback" not in screen.text()
