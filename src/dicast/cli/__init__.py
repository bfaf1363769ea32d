"""The dicast command."""
