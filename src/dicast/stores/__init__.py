"""Ways a batch's writes become durable."""
