"""From diagram to diagram without a choice: derivatives, products put in, values, shapes."""
