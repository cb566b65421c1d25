"""The memory tool: what one conversation writes down, the next one knows; in a directory, and in files of your own.

Run it: python examples/memory_tool.py
"""

from __future__ import annotations

import tempfile

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider, tool_call
from alloy_actors.tools import DirectoryFiles, InMemoryFiles, MemoryFiles, memory


class Audited(InMemoryFiles):
    """Files of your own: any object with the methods of `MemoryFiles`. What it raises becomes an error result."""

    def create(self, path: str, text: str) -> None:
        if "password" in text.lower():
            raise alloy.ToolError("Passwords are not kept here.")
        super().create(path, text)


def talk(files: MemoryFiles, said: str, *script: alloy.ToolCall | str) -> None:
    """A conversation of its own: nothing but the files connects it with the others."""
    with alloy.AgentSystem() as system:
        # A script instead of a model; with `alloy.Anthropic(...)` Claude is sent the tool by the name it knows.
        agent = system.spawn("assistant", provider=ScriptedProvider(script), tools=[memory(files)])
        result = agent.chat(said).raise_for_status()
        for message in result.messages:
            for block in message.blocks:
                if isinstance(block, alloy.ToolResult):
                    print(f"  {block.text}")
        print(result.text)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        note = tool_call("memory", command="create", path="/memories/ada.md", file_text="Ada drinks tea.\n")
        talk(DirectoryFiles(root, session="ada"), "I drink tea, by the way.", note, "I will remember that.")

        look = tool_call("memory", command="view", path="/memories/ada.md")
        talk(DirectoryFiles(root, session="ada"), "What may I offer you?", look, "Tea, of course.")

        listing = tool_call("memory", command="view", path="/memories")
        talk(DirectoryFiles(root, session="bob"), "What do you know?", listing, "Nothing about you yet.")

    secret = tool_call("memory", command="create", path="/memories/x", file_text="The password is 1234.")
    talk(Audited(), "Remember my password.", secret, "I would rather not.")
    alloy.shutdown()


if __name__ == "__main__":
    main()
