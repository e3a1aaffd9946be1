"""ownerd: a personal authentication agent. See docs/ARCHITECTURE.md for the code map."""
