"""What the commands do: run a month, show results, start the UIs."""
