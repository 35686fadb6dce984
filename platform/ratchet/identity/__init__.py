"""Who there is and what each may do: users, service accounts, their roles in projects, and their tokens."""
