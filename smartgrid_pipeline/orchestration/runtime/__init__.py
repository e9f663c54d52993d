"""Starting runs outside the UI: launching jobs, one run of a meter at a time."""
