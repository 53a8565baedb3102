"""From syntax trees to diagrams: names, scopes, sizes, packs, other files."""
