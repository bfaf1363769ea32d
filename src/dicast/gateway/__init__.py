"""The HTTP gateway: OpenAI's and Anthropic's dialects over `dicast.AsyncClient`; see `docs/gateway.md`."""
