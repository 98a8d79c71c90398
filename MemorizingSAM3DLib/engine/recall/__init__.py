"""What remembered cases say about a click: which of them are alike, and where the structure was in those."""
