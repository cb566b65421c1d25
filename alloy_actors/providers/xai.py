"""xAI: the Responses API with the searches of its own."""

from __future__ import annotations

from alloy_actors.providers._responses_request import Dialect
from alloy_actors.providers.openai import OpenAI


class XAI(OpenAI):
    """A Grok model; the options are those of `OpenAI`.

    `api_key` None takes XAI_API_KEY, `api_url` is api.x.ai by default. `web_search` and `x_search` are its searches:
    `result.metadata["provider_response"]["citations"]` lists the addresses they found, and the text is annotated
    where it cites them.
    """

    vendor = "x-ai"
    output_schemas = "alone"  # beside tools only some of its models take one
    _wire = "xai"
    _home = "https://api.x.ai"
    _variable = "XAI_API_KEY"
    _dialect = Dialect(
        vendor="xAI",
        images=("image/png", "image/jpeg"),
        max_image=20 * 1024 * 1024,
        images_in_results=False,
    )
