"""Drawing a diagram: its layout, and what is made of it."""
