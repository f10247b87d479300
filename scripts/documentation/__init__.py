"""Makes the documentation site of the pages that are read in the repository, too; ``./scripts/docs`` runs it."""
