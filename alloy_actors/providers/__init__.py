"""One module per wire format, and what they share: transport, SSE, errors, retries."""
