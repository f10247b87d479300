"""How an execution is sent: from what is pending in the ledger, through a sender, to its outcomes on record."""
