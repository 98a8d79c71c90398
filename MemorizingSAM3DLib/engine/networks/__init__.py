"""The promptable networks: one configuration-driven implementation of two families."""
