"""Ways a packet travels."""
