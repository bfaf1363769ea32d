"""Ways an answer is made."""
