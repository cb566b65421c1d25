"""Servers of Chat Completions: where they are, which key they take, and where they differ. Data, not branches.

Sources: the servers' own API references, and for what these do not say:

- vLLM reads the member `reasoning` alone (vllm-project/vllm issues 27755 and 38488);
- DeepSeek wants the reasoning of a turn with tool calls back (guide "Thinking Mode"), and knows no schema but has to read
  the word JSON in the prompt (guide "JSON Output");
- Mistral's rule for ids of tool calls and Groq's refusal of unknown members are what their error messages say;
- Together moved to api.together.ai (its page on the Responses API);
- vLLM, llama.cpp, LM Studio and others call no tool while a schema for the answer is set (vllm-project/vllm issue 39929);
- Azure's path without api-version is its v1 API (page "API version lifecycle").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from alloy_actors.provider import OutputSchemas

Echo: TypeAlias = Literal["reasoning_content", "reasoning"] | None


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a server differs from the form that most of them take.

    Args:
        echo: The member in which the model's reasoning goes back; None: the server refuses it.
        short_ids: Ids of tool calls must be nine letters or digits.
        limit: The name of the limit of the answer's tokens.
        key_header: The header that carries the key; None is `authorization: Bearer`.
        stream_options: Whether the server knows `stream_options`.
        schemas: Whether it takes a JSON schema for the answer ("alone": many servers hold the whole reply to it, so that no
            tool can be called); one that does not is told of it in the prompt.
    """

    echo: Echo = "reasoning_content"
    short_ids: bool = False
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    key_header: str | None = None
    stream_options: bool = True
    schemas: OutputSchemas = "alone"


@dataclass(frozen=True, slots=True)
class Preset:
    """A server people use.

    Args:
        api_url: Its address; None where everyone has one of their own.
        variable: The environment variable of its key; None where it needs none.
        chat_path: What follows the address.
        vendor: Whose prices hold, in the words of the price catalogue.
        dialect: Where it differs.
    """

    api_url: str | None
    variable: str | None = None
    chat_path: str = "/v1/chat/completions"
    vendor: str | None = None
    dialect: Dialect = Dialect()


PLAIN = Preset(None)

PRESETS: dict[str, Preset] = {
    "ollama": Preset("http://localhost:11434", dialect=Dialect(echo="reasoning")),
    "llamacpp": Preset("http://localhost:8080"),
    "lmstudio": Preset("http://localhost:1234"),
    "vllm": Preset("http://localhost:8000", dialect=Dialect(echo="reasoning")),
    "openrouter": Preset(
        "https://openrouter.ai/api",
        "OPENROUTER_API_KEY",
        vendor="openrouter",
        dialect=Dialect(echo="reasoning"),
    ),
    "deepseek": Preset(
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        chat_path="/chat/completions",
        vendor="deepseek",
        dialect=Dialect(schemas="never"),
    ),
    "mistral": Preset(
        "https://api.mistral.ai",
        "MISTRAL_API_KEY",
        vendor="mistral",
        dialect=Dialect(echo=None, short_ids=True, stream_options=False),
    ),
    "groq": Preset(
        "https://api.groq.com/openai",
        "GROQ_API_KEY",
        vendor="groq",
        dialect=Dialect(echo=None, limit="max_completion_tokens"),
    ),
    "together": Preset("https://api.together.ai", "TOGETHER_API_KEY", vendor="together"),
    "azure": Preset(
        None,
        "AZURE_OPENAI_API_KEY",
        chat_path="/openai/v1/chat/completions",
        vendor="azure",
        dialect=Dialect(echo=None, limit="max_completion_tokens", key_header="api-key", schemas="always"),
    ),
}


def preset_of(name: object) -> Preset:
    """The preset with a name; None is a server of which nothing is known.

    Raises:
        ConfigError: There is none with that name.
    """
    if name is None:
        return PLAIN
    found = PRESETS.get(name) if isinstance(name, str) else None
    if found is None:
        raise ConfigError(
            f"preset {name!r} is not known: use one of {', '.join(sorted(PRESETS))}, or api_url="
        )
    return found
