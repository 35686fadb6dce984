"""That nobody changed the audit log afterwards: its entries are sealed in a chain of hashes, which can be checked."""
