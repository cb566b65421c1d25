"""For people at a terminal: drawing with rich, line editing with prompt-toolkit."""
