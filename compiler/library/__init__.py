"""Shipped definitions, in the language itself."""
