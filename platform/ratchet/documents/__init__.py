"""Files in which people keep what they want: `ratchet apply -f x.yaml`."""
