"""Negotiation: what a request, the vault and the policy make together. Pure: no clock, no file, no token, no prompt."""
