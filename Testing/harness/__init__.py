"""Stand-ins for the parts of Slicer that no wheel has: its Qt as Python sees it, its application, its views."""
