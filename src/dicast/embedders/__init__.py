"""Ways an answer becomes bits that can be compared."""
