"""Measurements of time and memory, each beside what it is compared with, in one run."""
