"""The two memories: remembered cases (Memorizing SAM) and past interactions (MAIS)."""
