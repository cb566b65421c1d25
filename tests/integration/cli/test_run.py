"""`alloy run`: stdout is the answer, stderr the rest, the exit code the status."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alloy_actors.actors.system import AgentSystem
from alloy_actors.local import LocalServer
from alloy_actors.session import Session
from tests.integration.cli.conftest import Run, Said
from tests.integration.cli.terminal import ALLOY, CTRL_C, WAIT, Terminal

Call = Callable[..., Said]
Model = Callable[..., list[str]]

TOOLS = '''
import alloy_actors as alloy

@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"rain in {city}"

@alloy.tool
def broken(city: str) -> str:
    """Fail."""
    raise ValueError("no report")
'''


def test_the_answer_is_all_there_is_on_stdout(call: Call, model: Model) -> None:
    said = call("run", "hello", *model(text="Hi!"))
    assert said == Said(0, "Hi!\n", "")


def test_the_embedded_server_answers_where_nothing_else_is_there(call: Call) -> None:
    said = call("run", "hello", "--provider", "demo")
    assert (said.code, said.err) == (0, "")
    assert 'You said: "hello"' in said.out


@pytest.mark.parametrize(
    ("words", "stdin", "asked"),
    [
        (["hello"], b"not read", "hello"),
        (["hello", "there"], b"", "hello there"),
        ([], b"from a pipe\n", "from a pipe"),
        (["-"], b"\xef\xbb\xbffrom a pipe", "from a pipe"),
        (["Sum up:", "-"], b"line 1\nline 2\n", "Sum up: \nline 1\nline 2"),
        (["-"], b"bad \xff byte", "bad \ufffd byte"),
        (["bad \udcff byte"], b"", "bad \ufffd byte"),
    ],
)
def test_the_prompt_comes_from_the_command_line_and_from_stdin(
    words: list[str], stdin: bytes, asked: str, call: Call, model: Model
) -> None:
    said = call("run", *words, *model(), stdin=stdin)
    assert (said.code, said.err) == (0, "")
    assert f'You said: "{asked}".' in said.out


@pytest.mark.parametrize("words", [[], ["-"], [""], ["  "]])
def test_an_empty_prompt_is_refused(words: list[str], call: Call) -> None:
    assert call("run", *words, "--provider", "demo", stdin=b" \n") == Said(
        2, "", "alloy: the prompt is empty\n"
    )


def test_own_tools_and_their_ends_are_shown_on_stderr(call: Call, model: Model, folder: Path) -> None:
    (folder / "mine.py").write_text(TOOLS)
    said = call("run", 'weather(city="Oslo") broken(city="Rome")', "--tools", "mine.py", *model())
    assert said.code == 0
    assert 'weather(city="Oslo") said: rain in Oslo' in said.out
    assert said.err.splitlines()[:2] == ['tool weather(city="Oslo") ...', 'tool broken(city="Rome") ...']
    ends = sorted(said.err.splitlines()[2:])
    assert ends[0].startswith('tool broken(city="Rome") 0.')
    assert ends[0].endswith("s: ValueError: no report")
    assert ends[1].startswith('tool weather(city="Oslo") 0.')
    assert len(ends) == 2
    assert "rain" in call("run", 'weather(city="Oslo")', "-q", "--tools", "mine.py", *model()).out


def test_file_tools_stay_in_the_working_directory_unless_told(call: Call, model: Model, folder: Path) -> None:
    (folder / "inside.txt").write_text("visible")
    outside = folder.parent / "outside.txt"
    outside.write_text("secret")
    assert "visible" in call("run", 'read(file_path="inside.txt")', "-t", "read", *model()).out
    ask = f'read(file_path="{outside}")'
    assert "secret" not in call("run", ask, "-t", "read", *model()).out
    assert "secret" in call("run", ask, "-t", "read", "--allow", str(folder.parent), *model()).out


def test_the_result_as_json(call: Call, model: Model, folder: Path) -> None:
    (folder / "mine.py").write_text(TOOLS)
    said = call("run", 'weather(city="Oslo")', "--json", "--tools", "mine.py", *model())
    document = json.loads(said.out)
    assert (said.code, said.err, said.out.count("\n")) == (0, "", 1)
    assert document["type"] == "result"
    assert (document["status"], document["stop_reason"], document["turns"]) == ("completed", "end_turn", 2)
    assert document["usage"]["input_tokens"] > 0
    assert document["error"] is None
    assert "rain in Oslo" in document["text"]
    (tool,) = document["tool_calls"]
    assert (tool["name"], tool["input"], tool["error"]) == ("weather", {"city": "Oslo"}, None)


def test_events_as_json_one_a_line_and_the_result_last(call: Call, model: Model, folder: Path) -> None:
    (folder / "mine.py").write_text(TOOLS)
    said = call("run", 'weather(city="Oslo")', "--json", "--stream", "--tools", "mine.py", *model())
    documents = [json.loads(line) for line in said.out.splitlines()]
    kinds = [document["event"] for document in documents]
    assert kinds[:2] == ["run_started", "turn_started"]
    assert kinds[-2:] == ["turn_finished", "run_finished"]
    assert {"tool_start", "tool_end", "text_delta"} < set(kinds)
    text = "".join(document["payload"] for document in documents if document["event"] == "text_delta")
    result = documents[-1]["payload"]
    assert text == result["text"]
    assert (result["status"], result["turns"], result["tool_calls"][0]["name"]) == ("completed", 2, "weather")
    assert [document["seq"] for document in documents] == list(range(1, len(documents) + 1))
    assert {document["v"] for document in documents} == {1}


@pytest.mark.parametrize(
    ("directives", "flags", "code", "line"),
    [
        ({"status": 500}, [], 1, "ServerError: "),
        ({"status": 401}, [], 1, "AuthError: "),
        ({"status": 429, "retry_after": 0}, [], 1, "RateLimitError: "),
        ({"fault": "cut"}, [], 1, "ConnectionFailedError: "),
        ({"fault": "not_json"}, [], 1, "MalformedReplyError: "),
        ({"fault": "hang"}, ["--timeout", "0.2"], 1, "TimeoutError: "),
        ({"calls": 1, "rounds": 5}, ["--max-turns", "2", "-t", "read", "-q"], 3, "stopped after 2 turns"),
    ],
)
def test_what_went_wrong_is_one_line_and_the_exit_code(
    directives: dict[str, Any], flags: list[str], code: int, line: str, call: Call, model: Model
) -> None:
    said = call("run", "hello", "--max-retries", "0", *flags, *model(**directives))
    assert said.code == code
    assert said.err.startswith(f"alloy run: {line}")
    assert said.err.count("\n") == 1


def test_a_failed_run_is_json_too(call: Call, model: Model) -> None:
    said = call("run", "hello", "--json", "--max-retries", "0", *model(status=500))
    document = json.loads(said.out)
    assert (said.code, document["status"], document["error"]["type"]) == (1, "error", "ServerError")


def test_an_unknown_model_is_one_line(call: Call, server: LocalServer) -> None:
    said = call("run", "hello", "--api-url", server.url, "--model", "no-such-model")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "no-such-model" in said.err


def test_a_dead_server_is_one_line(call: Call) -> None:
    flags = ["--api-url", "http://127.0.0.1:1", "--model", "m"]
    said = call("run", "hello", "--max-retries", "0", *flags)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "ConnectionFailedError: no connection to 127.0.0.1:1" in said.err


def test_a_fallback_answers_and_somebody_is_told(call: Call, model: Model) -> None:
    fallbacks = ["--fallback", "demo:scripted-fast?status=401", "--fallback", "demo:scripted-fast?text=Hi"]
    said = call("run", "hello", "--json", *fallbacks, *model(status=401))
    document = json.loads(said.out)
    assert (said.code, document["text"], document["model"]) == (0, "Hi", "scripted-fast?text=Hi")
    assert said.err.splitlines() == [
        "AuthError: asking scripted-fast?status=401 instead",
        "AuthError: asking scripted-fast?text=Hi instead",
    ]


@pytest.mark.parametrize("wrong", ["nobody:gpt", "openai-compat:m", "anthropic:claude-sonnet-4-6", "ollama:"])
def test_a_fallback_that_is_none_is_a_mistake_in_the_flags(call: Call, model: Model, wrong: str) -> None:
    said = call("run", "hello", "--fallback", wrong, *model())
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert f"--fallback {wrong}: " in said.err


def test_somebody_who_waits_for_another_attempt_is_told(call: Call, model: Model) -> None:
    said = call("run", "hello", *model(status=503, retry_after=0.01, times=1, text="told about it"))
    assert (said.code, said.out) == (0, "told about it\n")
    assert said.err.startswith("OverloadedError: trying again in ") or said.err.startswith(
        "ServerError: trying"
    )


def test_no_key_and_no_provider_are_one_line(call: Call) -> None:
    said = call("run", "hello")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "which provider?" in said.err
    said = call("run", "hello", "--model", "mistral:large")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no key for mistral: set MISTRAL_API_KEY" in said.err


def test_a_key_in_the_environment_reaches_its_server_and_nothing_else(
    env: dict[str, str], folder: Path
) -> None:
    key = "sk-very-secret"
    with LocalServer(token=key) as guarded:
        flags = ["--api-url", guarded.url, "--model", "scripted-fast"]
        for more, code in (([], 1), (["--api-key-env", "WORK_KEY"], 0)):
            done = subprocess.run(
                [*ALLOY, "run", "hello", "-v", *flags, *more],
                env={**env, "WORK_KEY": key},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=WAIT,
                check=False,
            )
            assert done.returncode == code, done.stderr
            assert key not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--modle", "x"], "alloy run: No such option: --modle (Possible options: --model"),
        (["--max-turns", "0"], "alloy run: Invalid value for '--max-turns': "),
        (["--max-turns", "many"], "alloy run: Invalid value for '--max-turns': "),
        (["--timeout", "-1"], "alloy run: Invalid value for '--timeout': "),
        (["--provider", "olama"], "alloy: there is no provider 'olama' (did you mean ollama?)"),
        (["--api-url", "localhost:8000", "--model", "m"], "alloy: api_url must begin with http"),
        (["--provider", "demo", "--tools", "raed"], "alloy: --tools raed: no such tool (did you mean read?)"),
        (["--provider", "demo", "--store", "/no/such/folder/x.db"], "alloy: "),
        (
            ["--provider", "demo", "--store", "redis://x"],
            "alloy: AgentSystem: store='redis://x' is not known",
        ),
        (["--provider", "demo", "--session", "/no/such/folder/x.json"], "alloy: /no/such/folder/x.json: "),
        (["--provider"], "alloy: Option '--provider' requires an argument"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(flags: list[str], line: str, call: Call) -> None:
    said = call("run", "hello", *flags)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(line), said.err
    assert said.err.count("\n") == 1


# -- sessions and stores


def test_a_session_file_carries_the_conversation_from_call_to_call(
    call: Call, model: Model, folder: Path
) -> None:
    file = folder / "talk.json"
    for turn in (1, 2, 3):
        said = call("run", f"message {turn}", "--session", str(file), *model())
        assert (said.code, said.err) == (0, "")
        assert f"user turn {turn}" in said.out
    session = Session.from_json(file.read_bytes())
    assert [message.text for message in session.messages][::2] == ["message 1", "message 2", "message 3"]
    assert session.usage.total_tokens > 0


def test_a_damaged_session_file_is_refused_before_anything_is_asked(
    call: Call, model: Model, folder: Path, server: LocalServer
) -> None:
    asked = server.stats().requests
    file = folder / "talk.json"
    file.write_text('{"id": "a", "mess')
    said = call("run", "hello", "--session", str(file), *model())
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "no session of alloy-actors" in said.err
    assert server.stats().requests == asked


def test_a_failed_run_leaves_its_session_fit_to_go_on(call: Call, model: Model, folder: Path) -> None:
    file = str(folder / "talk.json")
    assert call("run", "first", "--session", file, "--max-retries", "0", *model(fault="error")).code == 1
    said = call("run", "second", "--session", file, *model())
    assert (said.code, said.err) == (0, "")
    assert "user turn 2" in said.out


def test_a_session_that_cannot_be_saved_fails_after_its_answer(
    call: Call, model: Model, folder: Path
) -> None:
    (folder / "mine.py").write_text(
        "import alloy_actors as alloy, pathlib\n"
        "@alloy.tool\ndef spoil() -> str:\n    'Spoil it.'\n    pathlib.Path('talk.json').write_text('mine')\n    return 'done'\n"
    )
    said = call("run", "spoil()", "-q", "--tools", "mine.py", "--session", "talk.json", *model())
    assert said.code == 1
    assert "spoil() said: done" in said.out
    assert said.err.startswith("alloy run: talk.json: this is no session of alloy-actors: the document: ")
    assert said.err.count("\n") == 1
    assert (folder / "talk.json").read_text() == "mine"


def test_a_store_keeps_the_conversation_under_a_name(call: Call, model: Model, folder: Path) -> None:
    for turn in (1, 2):
        said = call("run", "hello", "--store", "agents.db", "--name", "ada", *model())
        assert (said.code, said.err) == (0, "")
        assert f"user turn {turn}" in said.out
    assert "user turn 1" in call("run", "hello", "--store", "sqlite:///agents.db", *model()).out
    listed = call("store", "list", "agents.db")
    assert (listed.code, listed.err) == (0, "")
    assert min(line.split()[0] for line in listed.out.splitlines()) == "ada"
    assert len(listed.out.splitlines()) == 2
    exported = call("store", "export", "agents.db", "ada")
    (folder / "talk.json").write_text(exported.out)
    assert "user turn 3" in call("run", "and now?", "--session", "talk.json", *model()).out
    assert call("store", "check", "agents.db").code == 0


def test_a_store_in_use_is_one_line(call: Call, model: Model, folder: Path) -> None:
    with AgentSystem(store=f"sqlite:///{folder}/agents.db"):
        said = call("run", "hello", "--store", "agents.db", *model())
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith("alloy: FencedError: ")


def test_a_session_and_a_store_are_one_too_many(call: Call, model: Model) -> None:
    said = call("run", "hello", "--store", "agents.db", "--session", "talk.json", *model())
    assert said == Said(
        2, "", "alloy: give --session or --store, not both: each of them keeps the conversation\n"
    )


# -- pipes, signals, terminals


def test_on_a_pipe_the_answer_comes_at_the_end_and_with_stream_as_it_is_made(
    model: Model, server: LocalServer, env: dict[str, str], folder: Path
) -> None:
    with subprocess.Popen(
        [*ALLOY, "run", "hello", "--stream", *model(deltas=4, fault="stall")],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.read(6) == b"word0 "  # while the server says nothing more
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT)
    assert running.returncode == 130
    assert out == b"\n"
    assert err == b"alloy run: cancelled\n"
    server.wait_stats(active=0)


def test_a_cancelled_run_as_json_has_its_partial_text(
    model: Model, env: dict[str, str], folder: Path
) -> None:
    with subprocess.Popen(
        [*ALLOY, "run", "hello", "--json", "--stream", *model(deltas=4, fault="stall")],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        while json.loads(running.stdout.readline())["event"] != "text_delta":
            pass
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT)
    result = json.loads(out.splitlines()[-1])["payload"]
    assert (result["status"], result["text"], result["error"]["type"]) == (
        "cancelled",
        "word0 ",
        "CancelledError",
    )
    assert (running.returncode, err) == (130, "alloy run: cancelled\n")


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_cancels_and_the_partial_text_is_still_printed(
    signum: signal.Signals, code: int, model: Model, server: LocalServer, env: dict[str, str], folder: Path
) -> None:
    before = server.stats().streams
    with subprocess.Popen(
        [*ALLOY, "run", "hello", "--session", "talk.json", *model(deltas=4, fault="stall")],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        server.wait_stats(streams=before + 1, timeout=WAIT)
        running.send_signal(signum)
        out, err = running.communicate(timeout=WAIT)
    assert running.returncode == code
    assert out in {b"word0 \n", b""}  # nothing may have arrived yet
    assert err == b"alloy run: cancelled\n"
    assert Session.from_json((folder / "talk.json").read_bytes()).messages[0].text == "hello"


def test_ctrl_c_at_a_terminal_keeps_what_was_said(terminal: Callable[..., Terminal], model: Model) -> None:
    screen = terminal("run", "hello", *model(deltas=6, fault="stall"))
    screen.wait_for("word0 word1")
    screen.type(CTRL_C)
    assert screen.wait_exit() == 130
    assert "word0 word1" in screen.text()
    assert "alloy run: cancelled" in screen.text()
    assert "Traceback" not in screen.text()


def test_a_terminal_is_not_given_what_it_would_obey(terminal: Callable[..., Terminal], model: Model) -> None:
    screen = terminal("run", "hello", *model(text="a\x1b[2Jb\x1b]0;title\x07c"))
    assert screen.wait_exit() == 0
    assert "a[2Jb]0;titlec" in screen.text()
    assert b"\x1b[2J" not in screen.said


def test_without_a_prompt_a_terminal_is_not_waited_for(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("run", "--provider", "demo")
    assert screen.wait_exit() == 2
    assert "say what to ask" in screen.text()


@pytest.mark.parametrize("flags", [["--stream"], ["--json"], ["--json", "--stream"], []])
def test_a_closed_pipe_ends_it_without_a_word(
    flags: list[str], model: Model, server: LocalServer, env: dict[str, str], folder: Path
) -> None:
    with subprocess.Popen(
        [*ALLOY, "run", "hello", *flags, *model(deltas=200, pause=0.001)],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        _, err = running.communicate(timeout=WAIT)
    assert (running.returncode, err) == (141, b"")
    server.wait_stats(active=0)


@pytest.mark.parametrize(
    "command", ["run hello", "store check agents.db", "--help", "doctor", "demo", "chat"]
)
def test_a_full_disk_is_one_line(command: str, model: Model, env: dict[str, str], folder: Path) -> None:
    AgentSystem(store=f"sqlite:///{folder}/agents.db").stop()
    words = command.split()
    if words[0] in {"run", "chat"}:
        words += model()
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*ALLOY, *words],
            env=env,
            cwd=folder,
            input=b"hello\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=WAIT,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"alloy: the output cannot be written: No space left on device\n"


def test_an_old_locale_costs_characters_and_not_the_answer(
    alloy: Run, model: Model, env: dict[str, str]
) -> None:
    done = alloy("run", "hello", *model(text="naïve"), env={**env, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "na?ve\n")


def test_closed_streams_harm_nothing(model: Model, env: dict[str, str], folder: Path) -> None:
    command = " ".join(["exec", *(f"'{word}'" for word in [*ALLOY, "run", "hello", *model()])])
    for closed in (">&-", "2>&-", "<&-"):
        done = subprocess.run(
            ["sh", "-c", f"{command} {closed}"],
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), closed
