"""Dicast: one answer from many machines that do not trust each other, with a certificate."""
