"""The ledger: Merkle tree, signed checkpoints, entry codec and verifier. Pure; docs/LEDGER.md is the format."""
