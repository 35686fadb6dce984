"""What makes the world as the database says it should be: one loop, one small step per row and look."""
