"""`make demo`: the whole loop on real data, one station after another, each shown to have really happened."""
