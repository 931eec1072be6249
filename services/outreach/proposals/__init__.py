"""Proposals: what a coordinator could send when more people than usual reach out."""
