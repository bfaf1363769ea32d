"""Many questions at once: a durable book of lines, nodes chosen by lease, every line answered once."""
